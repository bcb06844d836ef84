"""The database's schema through time, as Alembic migrations. `Database.open` and `upgrading.py` run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from finetune_assets.storage.errors import StorageError


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the schema to a revision inside the connection's open transaction.

    Args:
        connection: a connection in a transaction; a failure leaves the schema as it was, once that is rolled back.
        revision: the revision to reach.

    Raises:
        StorageError: when the database was made by a newer version of this program.
    """
    from alembic import command
    from alembic.util import CommandError

    config = _config(connection)
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        if "Can't locate revision" not in str(error):
            raise
        raise StorageError(
            "the database's schema is newer than this program",
            found=str(error),
            mend="install the version of finetune_assets that wrote it, or a newer one; another program's database, "
            "such as Dagster's, cannot be shared",
        ) from error


def downgrade(connection: Connection, revision: str) -> None:
    """Take the schema back to an earlier revision inside the connection's open transaction.

    Args:
        connection: a connection in a transaction.
        revision: the revision to reach, or `base` for a database without tables.
    """
    from alembic import command

    command.downgrade(_config(connection), revision)


def revisions() -> tuple[str, ...]:
    """Return every revision that this program knows, the first one first."""
    from alembic.script import ScriptDirectory

    found = ScriptDirectory.from_config(_config(None)).walk_revisions()
    return tuple(script.revision for script in found)[::-1]


def _config(connection: Connection | None) -> Any:
    from alembic.config import Config

    config = Config()
    # ConfigParser reads % as the start of a reference.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
