#!/bin/sh
# Point Dagster at the home's instance, with the storage that the environment names, and start the given command.
set -eu
: "${FINETUNE_HOME:?set FINETUNE_HOME to a folder that is kept}"
app="$(cd "$(dirname "$0")/.." && pwd)"
export DAGSTER_HOME="${DAGSTER_HOME:-$FINETUNE_HOME/dagster}"
# Dagster's own chart mounts an instance file, which is left alone.
case "$DAGSTER_HOME" in
  "$FINETUNE_HOME"/*)
    mkdir -p "$DAGSTER_HOME"
    source="$app/dagster.yaml"
    [ -z "${DAGSTER_POSTGRES_URL:-}" ] || source="$app/deploy/dagster.postgres.yaml"
    # Several commands start at once in one home: the file is there whole, or not at all.
    staged="$DAGSTER_HOME/.dagster.yaml.$(hostname).$$"
    cp "$source" "$staged"
    mv -f "$staged" "$DAGSTER_HOME/dagster.yaml"
    ;;
esac
exec "$@"
