"""Desired and observed state in a database, as the ports of the domain ask for it."""
