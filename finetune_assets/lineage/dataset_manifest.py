"""What a dataset version says of its making: source files, code, configuration, task type and taxonomy.

Here belongs what is written beside the splits so that two versions can be compared, and a row's origin told, years
later. Paths and times are not in it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finetune_assets import __version__
from finetune_assets.datasets.build import BUILD_VERSION
from finetune_assets.datasets.taxonomies.taxonomy import Taxonomy
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.records.digests import digest_of
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import write_json_atomic

TASK_TYPE_FILE = "task_type.json"
# Where the file stands, what people say of it, and who does the work decide no row.
_NOT_IDENTITY: Mapping[str, bool | set[str]] = {
    "source": {"path", "provenance", "synthetic", "max_quarantine_share"},
    "engine": True,
    "workers": True,
    "generation": True,
}


def made_from(task: TaskRun, raw: Artifact, folder: Path) -> dict[str, Any]:
    """Return what the version is made from, and write the task type in full into `folder`.

    Args:
        task: the task in this run.
        raw: the raw observations.
        folder: the version's folder; gets `task_type.json`.

    Returns:
        JSON: `files` with their digests, `code` versions, `config`, `limit`, and digests of `task_type` and `taxonomy`
        ("" for a task without one).
    """
    manifest = task.task_type().manifest()
    write_json_atomic(folder / TASK_TYPE_FILE, manifest)
    source = raw.manifest["inputs"]["source"]
    return {
        "files": source.get("files", []),
        "code": {"platform": __version__, "reader": source.get("reader"), "build": BUILD_VERSION},
        "config": task.config.dataset.model_dump(mode="json", exclude=_NOT_IDENTITY),
        "limit": task.options.limit,
        "task_type": digest_of(manifest),
        "taxonomy": taxonomy_digest(manifest),
    }


def taxonomy_digest(manifest: dict[str, Any]) -> str:
    """Return the digest of the taxonomy in a task type's manifest, "" where there is none."""
    found = manifest.get("taxonomy")
    return Taxonomy.from_json(found).digest if isinstance(found, dict) else ""
