"""Settings that are the same everywhere. Environment variables are listed in .env.example."""

import re

import environ
from kombu import Exchange, Queue

from config.embedded import socket_dir, valkey_url
from config.env import ROOT, env
from config.logs import logging_settings
from config.schedule import SCHEDULE
from config.settings.unfold import CONSOLE_MENU, UNFOLD  # noqa: F401

TESTING = False
DEMO_ALLOWED = True  # seed_demo may load its sample company
VAR = ROOT / env.text("BILLING_VAR", "var")  # data of the embedded servers, logs, files
SHARED = ROOT / env.text("BILLING_SHARED", "../shared")  # vendor and sample data for tests, when present

SECRET_KEY = env.text("SECRET_KEY", "insecure-development-key-do-not-use-in-production-0123456789")
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
# Newest first; `manage.py rotate_secrets` re-encrypts what older keys still protect.
FIELD_ENCRYPTION_KEYS = env.words("FIELD_ENCRYPTION_KEYS", "ZGV2ZWxvcG1lbnQta2V5LW5vdC1mb3ItcHJvZHVjdGk=")
DEBUG = env.flag("DEBUG", False)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_FAILURE_VIEW = "billing.kernel.api.errors_views.csrf_failure"
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
PUBLIC_URL = env.text("PUBLIC_URL", "http://localhost:8000").rstrip("/")
DEMO_PORT = env.whole("PORT", 8000, low=1, high=65535)
PROBLEM_BASE_URL = f"{PUBLIC_URL}/problems/"

INSTALLED_APPS = [
    "config",
    "unfold",
    "config.apps.ConsoleConfig",  # django.contrib.admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "pgtrigger",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "csp",
    "billing.kernel",
    "billing.access",
    "billing.entities",
    "billing.ledger",
    "billing.subscriptions",
    "billing.usage",
    "billing.invoicing",
    "billing.payments",
    "billing.dunning",
    "approvals",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "billing.kernel.api.middleware.RequestContextMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "billing.access.middleware.ActorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- database: DATABASE_URL, or the PostgreSQL that ships in a wheel
DATABASE_URL = env.text("DATABASE_URL", "")
SESSION_OPTIONS = "-c lock_timeout=3s -c statement_timeout=15s -c idle_in_transaction_session_timeout=30s"


def database(data_folder: str, *, fast: bool) -> dict:
    if DATABASE_URL:
        wanted = env.parsed("DATABASE_URL", DATABASE_URL, environ.Env.db_url_config, "a database URL") or {}
        env.refuse(
            "postgres" not in wanted.get("ENGINE", "postgres"), "DATABASE_URL must name a PostgreSQL server."
        )
    else:
        data = VAR / data_folder
        wanted = {
            "NAME": "billing",
            "USER": "billing",
            "HOST": str(socket_dir(data)),
            "EMBEDDED": {"data": data, "name": "billing", "fast": fast},
        }
    options = {"options": SESSION_OPTIONS} | wanted.pop("OPTIONS", {})
    return wanted | {
        "ENGINE": "config.pgbackend",
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


DATABASES = {"default": database("pg", fast=False)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- broker: REDIS_URL, or the Valkey that ships in a wheel
REDIS_URL = env.text("REDIS_URL", "")
EMBEDDED_VALKEY = None if REDIS_URL else VAR / "valkey"
CELERY_BROKER_URL = REDIS_URL or valkey_url(EMBEDDED_VALKEY, scheme="redis+socket")
RATE_LIMIT_STORAGE = REDIS_URL or valkey_url(EMBEDDED_VALKEY, scheme="redis+unix")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = (
    False  # attempts are counted in the database; a sweep repeats, not the broker
)
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_TIME_LIMIT = 3600
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "visibility_timeout": 3600,
}
CELERY_TASK_PUBLISH_RETRY = False  # a broker that is down costs one attempt; the sweeps do the rest
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 30
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# What waits for other people's servers or reads a lot stands in its own queue, so that it cannot hold up
# the rest. A worker started without -Q consumes both.
CELERY_TASK_DEFAULT_QUEUE = "quick"
CELERY_TASK_QUEUES = [Queue(name, Exchange(name), routing_key=name) for name in ("quick", "slow")]
CELERY_TASK_ROUTES = {"integrations.*": {"queue": "slow"}, "reporting.*": {"queue": "slow"}}
CELERY_BEAT_SCHEDULE = SCHEDULE
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"  # remembers nothing: missed sweeps are made up by the next

# --- logs
LOG_LEVEL = env.text("LOG_LEVEL", "INFO").upper()
env.refuse(
    LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR"},
    f"LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR, not '{LOG_LEVEL}'.",
)
LOGGING = logging_settings(as_json=False, level=LOG_LEVEL)

# --- people
AUTH_USER_MODEL = "access.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "billing.entities.backends.GrantBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 1  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False  # its pages know no roles: nobody could open them
SESSION_COOKIE_AGE = 8 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

# --- API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "billing.access.authentication.ApiKeyAuthentication",
        "billing.access.authentication.SignedInAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["billing.access.api.permissions.ActionPermission"],
    "DEFAULT_PARSER_CLASSES": ["billing.kernel.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "billing.kernel.api.pagination.KeysetPagination",
    "DEFAULT_FILTER_BACKENDS": ["billing.kernel.api.filters.ClosedFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "billing.kernel.api.schema.BillingSchema",
    "EXCEPTION_HANDLER": "billing.kernel.api.problems.handle",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "COERCE_DECIMAL_TO_STRING": True,
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
    "NON_FIELD_ERRORS_KEY": "",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
API_BODY_BYTES_MAX = 1 << 20
API_USAGE_BODY_BYTES_MAX = 16 << 20
METRICS_TOKEN = env.text("METRICS_TOKEN", "")  # empty: /metrics answers this machine only
API_RATE_LIMIT = env.text("API_RATE_LIMIT", "600/minute")  # per key and per user
USAGE_OLDEST_DAYS = 400  # older events are rejected, except from imports that say so
DATA_UPLOAD_MAX_MEMORY_SIZE = API_USAGE_BODY_BYTES_MAX
SPECTACULAR_SETTINGS = {
    "TITLE": "Enterprise billing",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1/enterprise-billing",
    "ENUM_NAME_OVERRIDES": {
        "TaxCategoryEnum": "billing.subscriptions.models.TaxCategory",
        "ItemBasisEnum": "billing.subscriptions.models.Basis",
        "AllocationBasisEnum": "billing.invoicing.models.AllocationBasis",
        "ChargeKindEnum": "billing.subscriptions.models.ChargeKind",
        "LateFeeBasisEnum": "billing.dunning.states.FeeBasis",
        "DunningPauseKindEnum": "billing.dunning.states.PauseKind",
        "LineKindEnum": "billing.invoicing.models.LineKind",
        "TaxTreatmentEnum": "billing.tax.core.tax.TaxTreatment",
        "RoleEnum": "billing.access.roles.Role",
        "RoleGrantStateEnum": "billing.entities.states.GrantState",
        "RoleExceptionStateEnum": "billing.entities.states.ExceptionState",
        "RuleKindEnum": "billing.invoicing.models.RuleKind",
        "RuleStateEnum": "billing.invoicing.states.RuleState",
        "AllocationTargetKindEnum": "billing.invoicing.allocation.models.rules.TARGET_KINDS",
        "AllocationRunKindEnum": "billing.invoicing.models.AllocationRunKind",
        "AllocationRunStateEnum": "billing.invoicing.states.AllocationRunState",
        "DiscountKindEnum": "billing.invoicing.models.DiscountKind",
        "ApproverKindEnum": "approvals.routing.APPROVER_KINDS",
        "LevelModeEnum": "approvals.models.requests.LEVEL_MODES",
        "QuotaModeEnum": "billing.usage.models.QuotaMode",
    },
    "SERVE_AUTHENTICATION": [],
    "COMPONENT_SPLIT_REQUEST": True,
    "GET_LIB_DOC_EXCLUDES": "billing.kernel.api.schema.without_own_words",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "EXTERNAL_DOCS": {"description": "Every problem code", "url": PROBLEM_BASE_URL},
}

# --- language, time
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("fr", "Français"), ("es", "Español")]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = ["config.formats"]

# --- static files and the browser's own rules
STATIC_URL = "static/"
STATIC_ROOT = None  # served from the packages themselves; production collects them
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
MEDIA_ROOT = VAR / "files"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'", "'unsafe-eval'"],  # Alpine, inside the admin theme, evaluates attributes
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "object-src": ["'none'"],
    }
}

# --- outbound HTTP: no private addresses unless a deployment names them ("10.1.0.0/16,127.0.0.1/32")
OUTBOUND_ALLOWED_NETWORKS = env.words("OUTBOUND_ALLOWED_NETWORKS")
OUTBOUND_ALLOW_HTTP = env.flag("OUTBOUND_ALLOW_HTTP", False)
OUTBOUND_CA_BUNDLE = env.text("OUTBOUND_CA_BUNDLE", "")  # certificates of own servers; empty: the public ones

# --- e-mail: EMAIL_URL names the mail server (smtp+tls://user:password@host:587); without one letters are printed
EMAIL_URL = env.text("EMAIL_URL", "consolemail://")
globals().update(
    env.parsed("EMAIL_URL", EMAIL_URL, environ.Env.email_url_config, "a mail server's URL") or {}
)
EMAIL_FROM = env.text("EMAIL_FROM", "billing@localhost.localdomain")  # the address letters come from
DEFAULT_FROM_EMAIL = SERVER_EMAIL = EMAIL_FROM
EMAIL_TIMEOUT = 20  # seconds

# --- billing
# Where cost goes whose product and department name no GL code; empty: such an invoice is not issued.
SUSPENSE_GL_CODE = env.text("SUSPENSE_GL_CODE", "")
# Customers per transaction of a billing run: one commit and a constant number of statements for each chunk.
BILLING_RUN_CHUNK = env.whole("BILLING_RUN_CHUNK", 100, low=1, high=2000)
# Jobs a billing run is queued as, each taking the next chunk: how many workers may bill one run at a time.
BILLING_RUN_WORKERS = env.whole("BILLING_RUN_WORKERS", 1, low=1, high=32)
# Customers per transaction of a dunning run.
DUNNING_RUN_CHUNK = env.whole("DUNNING_RUN_CHUNK", 100, low=1, high=2000)
ALLOCATION_RUN_CHUNK = env.whole("ALLOCATION_RUN_CHUNK", 200, low=1, high=2000)  # invoices
# Documents of more lines have no tags for screen readers: made in half the time, a tenth of the size. 0: none has.
DOCUMENT_TAGS_MAX_LINES = env.whole("DOCUMENT_TAGS_MAX_LINES", 1000, low=0, high=1_000_000)
DOCUMENT_COLOR = env.text("DOCUMENT_COLOR", "#1f2a3a")  # of titles and strong rules on new documents
env.refuse(
    not re.fullmatch(r"#[0-9a-fA-F]{6}", DOCUMENT_COLOR),
    'DOCUMENT_COLOR must be a colour such as "#1f2a3a".',
)
# Who decides about an approval has signed in within so many minutes, or gives the password again.
APPROVAL_SIGN_IN_MINUTES = env.whole("APPROVAL_SIGN_IN_MINUTES", 15, low=1, high=480)
# The first signs answers about licences, all are published; `manage.py make_license_key` prints one.
LICENSE_SIGNING_KEYS = env.words("LICENSE_SIGNING_KEYS", "ZGV2ZWxvcG1lbnQta2V5LW5vdC1mb3ItcHJvZHVjdGk")
env.refuse(
    not all(re.fullmatch(r"[A-Za-z0-9_-]{43}", key) for key in LICENSE_SIGNING_KEYS),
    "LICENSE_SIGNING_KEYS must be keys as manage.py make_license_key prints them.",
)
# How long a licensed product may keep an answer; a revoked licence is refused by all after at most twice that.
LICENSE_ANSWER_SECONDS = env.whole("LICENSE_ANSWER_SECONDS", 300, low=10, high=86400)
