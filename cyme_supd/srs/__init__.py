"""The SRS interface: other programs manage this branch's instances by messages."""
