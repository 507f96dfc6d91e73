"""How to reach a broker within bounds: what `workers` and `mailbox` share."""
