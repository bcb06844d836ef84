#!/bin/sh
# Point Dagster at the home's instance, with the storage that the environment names, and start the given command.
set -eu
export DAGSTER_HOME="${FINETUNE_HOME:?set FINETUNE_HOME to a folder that is kept}/dagster"
mkdir -p "$DAGSTER_HOME"
if [ -n "${DAGSTER_POSTGRES_URL:-}" ]; then
  cp /app/deploy/dagster.postgres.yaml "$DAGSTER_HOME/dagster.yaml"
else
  cp /app/dagster.yaml "$DAGSTER_HOME/dagster.yaml"
fi
exec "$@"
