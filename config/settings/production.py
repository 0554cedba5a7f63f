"""Production: refuses to start rather than run insecurely."""

from config.env import ROOT, env
from config.logs import logging_settings
from config.settings.base import *  # noqa: F403
from config.settings.base import (
    ALLOWED_HOSTS,
    DATABASE_URL,
    DEBUG,
    EMAIL_FROM,
    EMAIL_URL,
    FIELD_ENCRYPTION_KEYS,
    LICENSE_SIGNING_KEYS,
    LOG_LEVEL,
    PUBLIC_URL,
    REDIS_URL,
    SECRET_KEY,
    STORAGES,
)

env.refuse(
    "insecure" in SECRET_KEY or len(SECRET_KEY) < 50, "SECRET_KEY must be set to 50 random characters."
)
env.refuse(
    any(key.startswith("ZGV2ZWxvcG1lbnQ") for key in FIELD_ENCRYPTION_KEYS),
    "FIELD_ENCRYPTION_KEYS must be set (manage.py make_encryption_key prints one).",
)
env.refuse(
    any(key.startswith("ZGV2ZWxvcG1lbnQ") for key in LICENSE_SIGNING_KEYS),
    "LICENSE_SIGNING_KEYS must be set (manage.py make_license_key prints one).",
)
env.refuse(DEBUG, "DEBUG must not be on in production.")
env.refuse(not PUBLIC_URL.startswith("https://"), "PUBLIC_URL must start with https://.")
env.refuse("*" in ALLOWED_HOSTS, "ALLOWED_HOSTS must name the hosts, not '*'.")
env.refuse(not DATABASE_URL, "DATABASE_URL must name a PostgreSQL server.")
env.refuse(not REDIS_URL, "REDIS_URL must name a Redis or Valkey server.")
env.refuse(EMAIL_URL.startswith("consolemail"), "EMAIL_URL must name a mail server.")
env.refuse(EMAIL_FROM.endswith("@localhost.localdomain"), "EMAIL_FROM must be the address letters come from.")
env.check()

DEMO_ALLOWED = False
LOGGING = logging_settings(as_json=True, level=LOG_LEVEL)
SECURE_SSL_REDIRECT = True
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^ready$", r"^metrics$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True

STATIC_ROOT = ROOT / "staticfiles"  # filled by `manage.py collectstatic` when the image is built
WHITENOISE_USE_FINDERS = False
STORAGES = STORAGES | {"staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}}
