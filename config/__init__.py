"""The composition root. The Celery application is loaded with it, so that every process that imports
settings queues its tasks in the right place."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
