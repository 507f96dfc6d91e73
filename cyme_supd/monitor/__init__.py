"""The monitor: reads what the platform queue has, and keeps the record of tasks."""
