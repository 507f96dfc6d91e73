"""What a schedule says, by the libraries that read cron lines and ISO 8601."""
