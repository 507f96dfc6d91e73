"""Faults on real parts, many times each: who is there after, and what it cost."""
