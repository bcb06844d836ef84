"""The database's schema through time, as Alembic migrations. Only `Database.open` runs them."""

from __future__ import annotations

from pathlib import Path

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
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    # ConfigParser reads % as the start of a reference.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        if "Can't locate revision" not in str(error):
            raise
        raise StorageError(
            "the database's schema is newer than this program",
            found=str(error),
            mend="install the version of finetune_assets that wrote it, or a newer one",
        ) from error
