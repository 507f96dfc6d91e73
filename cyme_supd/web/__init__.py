"""The HTTP interface: what a request says, and how the answer looks."""
