#!/bin/sh
# Run once by the postgres image, when its data folder is made: the role of the web and worker processes.
# What it may do is granted by `manage.py grant_app_role` after each migrate.
set -eu
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 --set password="$POSTGRES_APP_PASSWORD" <<'SQL'
CREATE ROLE billing_app LOGIN PASSWORD :'password';
SQL
