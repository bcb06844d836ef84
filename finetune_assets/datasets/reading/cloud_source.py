"""A source in Cloud Storage: its objects become local files that the readers read, and their places are kept.

The same bytes give the same records wherever they come from, so that names in records stay those below the source's
root. Which object and generation a name was is kept beside the records, in `origins.json`, which enters no digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.listing import name_chooser
from finetune_assets.storage.gcs.calls import USUAL, Patience, is_gcs_uri
from finetune_assets.storage.gcs.sources import SourceObject, fetch_sources

ORIGINS = "origins.json"


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A source of which every file is on this machine.

    Attributes:
        config: what the readers take.
        objects: where the files came from; empty for a source that was local anyway.
    """

    config: SourceConfig
    objects: tuple[SourceObject, ...] = ()

    def origins(self) -> dict[str, dict[str, Any]]:
        """Return, by the name that records bear, `uri`, `generation`, `bytes` and `crc32c` of each object."""
        return {
            item.name: {
                "uri": item.uri,
                "generation": item.generation,
                "bytes": item.size,
                "crc32c": item.crc32c,
            }
            for item in self.objects
        }


def is_remote(config: SourceConfig) -> bool:
    """Tell whether the source is in Cloud Storage."""
    return is_gcs_uri(config.path)


def fetch_source(config: SourceConfig, client: Any, cache: Path, *, patience: Patience = USUAL) -> LocalSource:
    """Fetch the objects of a source in Cloud Storage that the readers would read.

    Args:
        config: the source, its path a gs:// URI.
        client: a `google.cloud.storage.Client`.
        cache: private folder that keeps what was fetched.
        patience: how long calls are tried again.

    Raises:
        FinetuneError: when a pattern is broken.
        StorageError: when nothing fits or too much does; or one of Cloud Storage's own errors.
    """
    glob = any(sign in config.path for sign in "*?[")
    found = fetch_sources(
        client,
        config.path,
        cache,
        wanted=name_chooser(config, any_ending=glob),
        max_files=config.max_files,
        patience=patience,
    )
    path = found.root if not found.glob else found.root / "**" / "*"
    return LocalSource(config.model_copy(update={"path": str(path)}), found.objects)
