"""Databases for the tests, one for each test: SQLite's a copied file, PostgreSQL's a copied database."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finetune_assets.storage.database import Database
from finetune_assets_tests.postgres import fresh_database

DATABASES = ["sqlite", "postgresql"]


@contextmanager
def fresh_url(kind: str, folder: Path, *, is_empty: bool = False) -> Iterator[str]:
    """A database whose schema is current, or with `is_empty` one without tables; skips where there is no PostgreSQL."""
    if kind == "postgresql":
        with fresh_database(is_empty=is_empty) as url:
            yield url
        return
    path = folder / "finetune.db"
    if not is_empty:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(_sqlite_template().name) / "finetune.db", path)
    yield f"sqlite:///{path}"


@functools.cache
def _sqlite_template() -> tempfile.TemporaryDirectory[str]:
    """Making the schema takes longer than most tests; the folder goes when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="finetune-template-")
    Database.open(f"sqlite:///{folder.name}/finetune.db").close()
    return folder
