"""Benchmarks: a server of their own with full durability, tasks recorded nowhere."""

from config.env import env
from config.settings.base import *  # noqa: F403
from config.settings.base import DATABASES, database

DEBUG = False
DATABASES = {"default": database("pg-bench", fast=False)}
DATABASES["default"]["OPTIONS"]["options"] = "-c statement_timeout=0"
CELERY_BROKER_URL = "memory://"
env.check()
