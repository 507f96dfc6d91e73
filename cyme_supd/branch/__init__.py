"""The branch: what keeps the workers of one host as they should be."""
