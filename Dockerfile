# One image, five commands: code server (the default), webserver, daemon, gateway and trainer. docs: deploy/gcp.md
#
#   docker build -t finetune_assets .                                        # CPU
#   docker build -t finetune_assets:gpu --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
#
# For a release pin the base by digest: --build-arg BASE=python@sha256:…
ARG BASE=python:3.11.14-slim-bookworm
FROM ${BASE}

# Only torch comes from this index; it need not have the pinned versions of what torch needs.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
WORKDIR /app
COPY pyproject.toml constraints.txt README.md ./
RUN pip install --no-deps -c constraints.txt --index-url "$TORCH_INDEX" torch
COPY finetune_assets ./finetune_assets
RUN pip install -c constraints.txt -e '.[postgres,kubernetes]' \
 && python -m compileall -q finetune_assets \
 && useradd --uid 10001 --create-home finetune \
 && mkdir /data && chown 10001:10001 /data
COPY workspace.yaml dagster.yaml ./
COPY deploy/entrypoint.sh deploy/dagster.postgres.yaml deploy/workspace.docker.yaml ./deploy/

USER 10001:10001
# The root file system may be read-only: what is written goes to the home or to /tmp.
ENV FINETUNE_HOME=/data HF_HOME=/data/huggingface MPLCONFIGDIR=/tmp/matplotlib
VOLUME /data
EXPOSE 3000 4000 8700

# Puts Dagster's instance file into $FINETUNE_HOME/dagster: with DAGSTER_POSTGRES_URL the one for PostgreSQL.
ENTRYPOINT ["/app/deploy/entrypoint.sh"]
CMD ["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", "4000", "-m", "finetune_assets.definitions"]
# The code server's; compose and Kubernetes say their own for the other commands.
HEALTHCHECK --interval=30s --timeout=15s --start-period=120s --retries=5 \
  CMD ["dagster", "api", "grpc-health-check", "-p", "4000"]
