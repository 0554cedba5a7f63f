"""Tests: their own embedded server without fsync, cheap passwords, tasks recorded instead of sent."""

from config.env import env
from config.settings.base import *  # noqa: F403
from config.settings.base import database

TESTING = True
DATABASES = {"default": database("pg-test", fast=True) | {"ENGINE": "config.pgbackend.testing"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_BROKER_URL = "memory://"
RATE_LIMIT_STORAGE = "memory://"
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
WHITENOISE_AUTOREFRESH = True
env.check()
