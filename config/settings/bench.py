"""Benchmarks: a server of their own with full durability, tasks recorded nowhere."""

from config.env import env
from config.settings.base import *  # noqa: F403
from config.settings.base import database

DEBUG = False
DATABASES = {"default": database("pg-bench", fast=False) | {"OPTIONS": {}}}  # no time limits
CELERY_BROKER_URL = "memory://"
RATE_LIMIT_STORAGE, API_RATE_LIMIT = "memory://", "100000000/minute"  # counted, but never reached
env.check()
