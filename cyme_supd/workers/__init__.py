"""Celery workers: how they boot, and what is asked of them through brokers."""
