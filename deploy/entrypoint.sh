#!/bin/sh
# Secrets come as files: for each NAME below, the file that NAME_FILE names becomes NAME, then the command runs.
# CALIG_WEBHOOK_SECRET_FILE is not among them: calig reads that file itself.
set -eu
for name in PGPASSWORD MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY MLFLOW_TRACKING_PASSWORD PREFECT_SERVER_API_AUTH_STRING PREFECT_API_AUTH_STRING; do
    eval "file=\${${name}_FILE:-}"
    [ -n "$file" ] || continue
    [ -r "$file" ] || { echo "error: ${name}_FILE names a file that cannot be read: $file" >&2; exit 2; }
    value=$(cat "$file")
    [ -n "$value" ] || { echo "error: ${name}_FILE names an empty file: $file" >&2; exit 2; }
    export "$name=$value"
done
exec "$@"
