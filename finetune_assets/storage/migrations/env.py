"""Alembic's entry: runs the migrations on the connection that `migrations.upgrade` hands over.

For `alembic -c finetune_assets/storage/alembic.ini -x url=sqlite:///PATH revision --autogenerate -m …` it opens the
database of that URL itself.
"""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection

from finetune_assets.storage.database import Database
from finetune_assets.storage.model_base import PlainText
from finetune_assets.storage.models import Base, UtcDateTime


def _render(kind: str, item: Any, _autogen: object) -> str | Literal[False]:
    """Write our own column type as what it is in the database: old migrations must not depend on today's models."""
    if kind != "type":
        return False
    if isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return "sa.Text()" if isinstance(item, PlainText) else False


def _run(connection: Connection) -> None:
    # SQLite cannot alter most things in place; batch mode rebuilds the table and copies its rows.
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True, render_item=_render)
    with context.begin_transaction():
        context.run_migrations()


_given: Connection | None = context.config.attributes.get("connection")
if _given is not None:
    _run(_given)
else:
    _url = context.get_x_argument(as_dictionary=True).get("url")
    if not isinstance(_url, str):
        raise SystemExit("say which database to compare with: alembic -x url=sqlite:///PATH …")
    with Database(_url).engine.connect() as _connection, _connection.begin():
        _run(_connection)
