"""What every store does: the one in memory and the one on SQLite."""
