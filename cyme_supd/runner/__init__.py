"""Runs what jobs say, on whatever host."""
