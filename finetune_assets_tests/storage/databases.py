"""Databases for the tests: always SQLite, and PostgreSQL too where FINETUNE_TEST_POSTGRES names a server.

The variable holds a URL such as `postgresql+psycopg://user@127.0.0.1:5432/postgres`; each test gets a schema of its
own there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

SERVER = os.environ.get("FINETUNE_TEST_POSTGRES", "")
DATABASES = ["sqlite", "postgresql"] if SERVER else ["sqlite"]


@contextmanager
def fresh_url(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'finetune.db'}"
        return
    schema = f"test_{secrets.token_hex(6)}"
    engine = create_engine(SERVER)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    url = make_url(SERVER).update_query_dict({"options": f"-csearch_path={schema}"})
    yield url.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()
