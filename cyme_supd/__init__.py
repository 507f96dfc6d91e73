"""Cyme manages Celery workers on hosts that run supervisord."""

__version__ = "0.1.0"
