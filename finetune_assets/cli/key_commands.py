"""`finetune keys`: API keys of the gateway: made, listed, rotated, revoked."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from finetune_assets.cli.common import AsJson, err, home_folder, out, print_json

if TYPE_CHECKING:
    from finetune_assets.storage.api_keys import KeyBook, KeyRecord

keys = typer.Typer(name="keys", no_args_is_help=True, help="API keys of the gateway: create, list, rotate, revoke.")

_LONGEST_DAYS = 3650

KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `list` shows it.", show_default=False)]


@keys.command()
def create(
    name: Annotated[
        str,
        typer.Argument(help="Whose key it is: a-z, 0-9 and . _ @ -; feedback is given under it.", show_default=False),
    ],
    role: Annotated[
        list[str],
        typer.Option(
            help="What it opens: predict, feedback, approve or admin; once for each. None implies another.",
            show_default=False,
        ),
    ],
    days: Annotated[
        int, typer.Option(min=0, max=_LONGEST_DAYS, help="Days until it ends; 0 for never.", show_default=True)
    ] = 365,
) -> None:
    """Make a key. It is printed once, alone on the standard output, and kept nowhere."""
    from finetune_assets.cli.common import current_user
    from finetune_assets.storage.clock import utc_now

    now = utc_now()
    with _book() as book:
        secret, record = book.create(name, role, now + timedelta(days=days) if days else None, current_user(), at=now)
    _hand_out(secret, record, "is made")


@keys.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List all keys that were ever made, without their secrets."""
    with _book() as book:
        records = book.list()
    if as_json:
        print_json([_facts(record) for record in records])
    elif not records:
        out.print("no keys; `finetune keys create NAME --role ROLE` makes one")
    else:
        _print(records)


@keys.command()
def rotate(
    key: KeyId,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=8784, help="Hours for which the old key stays valid; 0 ends it now.")
    ] = 0.0,
) -> None:
    """Give a key a successor of the same name and roles. The new one is printed once, alone on the standard output."""
    from finetune_assets.cli.common import current_user

    with _book() as book:
        secret, record = book.rotate(key, overlap_hours, current_user())
    end = f"ends in {overlap_hours:g} hours at the latest" if overlap_hours else "has ended"
    _hand_out(secret, record, f"takes the place of {key}, which {end}")


@keys.command()
def revoke(key: KeyId) -> None:
    """End a key now; running gateways refuse it within seconds."""
    from finetune_assets.cli.common import current_user

    with _book() as book:
        record = book.revoke(key, current_user())
    out.print(f"key {record.key_id} of {escape(record.name)} is revoked")


@contextmanager
def _book() -> "Iterator[KeyBook]":
    from finetune_assets.storage.api_keys import KeyBook
    from finetune_assets.storage.database import Database

    database = Database.open(home_folder().database_url)
    try:
        yield KeyBook(database)
    finally:
        database.close()


def _hand_out(secret: str, record: "KeyRecord", what: str) -> None:
    """Print the secret where a shell takes it from, and the words around it where a person reads them."""
    until = f"until {_day(record.expires_at)}" if record.expires_at else "for ever"
    roles = ", ".join(record.roles)
    err.print(f"key {record.key_id} of {escape(record.name)} {escape(what)}. It holds {until} for: {roles}.")
    err.print("It is shown this once; keep it where other secrets are.")
    sys.stdout.write(f"{secret}\n")


def _facts(record: "KeyRecord") -> dict[str, Any]:
    moments = {
        name: None if moment is None else moment.isoformat()
        for name, moment in (
            ("created_at", record.created_at),
            ("expires_at", record.expires_at),
            ("revoked_at", record.revoked_at),
            ("last_used_at", record.last_used_at),
        )
    }
    return {
        "key": record.key_id,
        "name": record.name,
        "roles": list(record.roles),
        "state": record.state(),
        "replaces": record.replaces,
        "created_by": record.created_by,
        "revoked_by": record.revoked_by,
        **moments,
    }


def _print(records: "tuple[KeyRecord, ...]") -> None:
    table = Table("key", "name", "roles", "state", "ends", "last used")
    for record in records:
        table.add_row(
            record.key_id,
            escape(record.name),
            ", ".join(record.roles),
            record.state(),
            _day(record.expires_at) or "never",
            _day(record.last_used_at) or "never",
        )
    out.print(table)


def _day(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"
