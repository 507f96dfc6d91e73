"""The app that workers run where no app of one's own is named."""

from __future__ import annotations

from celery import Celery

app = Celery("cyme", set_as_current=True)
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    result_serializer="json",
    task_acks_late=False,
)
