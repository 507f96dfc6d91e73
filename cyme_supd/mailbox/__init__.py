"""The branches, as they reach one another over the control broker."""
