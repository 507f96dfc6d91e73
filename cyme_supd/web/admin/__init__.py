"""The pages under ``/admin/``: what the interface answers, for people."""
