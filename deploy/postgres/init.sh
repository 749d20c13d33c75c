#!/bin/sh
# One server, two databases, a role for each that owns its own database and sees no other. Safe to run again.
# Passwords come from files, through psql's variables: they stand in no command line.
# Prefect's search needs pg_trgm; each role owns its own, so that it can restore its own backup.
set -eu
for name in mlflow prefect; do
    eval "file=\${$(echo "$name" | tr a-z A-Z)_PASSWORD_FILE}"
    PASSWORD=$(cat "$file") psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet -v name="$name" \
        --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv password PASSWORD
SELECT format('CREATE ROLE %I', :'name') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \gexec
ALTER ROLE :"name" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'name')
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
\connect :"name"
SET ROLE :"name";
CREATE EXTENSION IF NOT EXISTS pg_trgm;
SQL
done
