"""What every store does: the one in memory, on SQLite, PostgreSQL and MariaDB."""
