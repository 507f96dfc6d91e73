"""Fakes of every port, each held to the contract suite of the real thing."""
