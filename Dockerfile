# One image, three commands: the code server, the webserver and the daemon (see deploy/docker-compose.yaml).
FROM python:3.11-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /app
COPY pyproject.toml constraints.txt README.md ./
RUN pip install --no-cache-dir -c constraints.txt --index-url "$TORCH_INDEX" torch
COPY finetune_assets ./finetune_assets
COPY workspace.yaml dagster.yaml ./
COPY deploy ./deploy
RUN pip install --no-cache-dir -c constraints.txt -e .

RUN useradd --create-home finetune && mkdir /data && chown finetune /data
USER finetune
ENV FINETUNE_HOME=/data PYTHONUNBUFFERED=1
VOLUME /data

# The entry point installs dagster.yaml into $FINETUNE_HOME/dagster; with DAGSTER_POSTGRES_URL set, the PostgreSQL one.
ENTRYPOINT ["/app/deploy/entrypoint.sh"]
CMD ["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", "4000", "-m", "finetune_assets.definitions"]
