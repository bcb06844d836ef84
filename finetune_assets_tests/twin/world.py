"""Both stand-ins, each in a process of its own, and the environment under which `finetune` talks to them.

`make twin` and the tests of whole flows share it. It lives with the tests because the stand-ins do: no part of the
package may need them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_assets_tests.fakes.fixtures import RunningGcs, running_gcs
from finetune_assets_tests.fakes.vertex import VertexProcess, running_vertex

TASKS = Path(__file__).resolve().parents[2] / "examples" / "cloud"
PROJECT_ID = "twin-project"
BUCKET = "twin-bucket"
# The stand-in's clock runs a hundred times as fast as ours, so that a job of five minutes takes three seconds.
SPEED = 100.0
# Looks come as much faster.
QUICK = {
    "CLOUD__POLLING__FIRST_S": "0.3",
    "CLOUD__POLLING__LONGEST_S": "1.0",
    "CLOUD__POLLING__VISIBILITY_S": "0.2",
}
# The stand-in's models answer with the nearest row that they learned; no benchmark of real models can be held to them.
NO_BENCHMARK = {
    "EVALUATION__FLOOR": "{}",
    "EVALUATION__CEILING": "{}",
    "EVALUATION__FLOOR_BY_SLICE": "{}",
    "EVALUATION__CEILING_BY_SLICE": "{}",
    "EVALUATION__BEAT": "[]",
    "EVALUATION__MIN_PARSE_RATE": "0.5",
    "EVALUATION__PRIMARY": "todo_coverage",
    # Of equal rows a second model of theirs learns the same: it cannot be better than the first, and 30 rows show no
    # more than this.
    "EVALUATION__AGAINST_BASELINE": "not_worse",
    "EVALUATION__MARGIN": "0.2",
}
SIDE_BY_SIDE = {"CLOUD__CONCURRENT_JOBS": "3"}


def settings_of(task: str, values: dict[str, str]) -> dict[str, str]:
    """Return the variables that give a task these settings (`CLOUD__BUCKET` → `FINETUNE_<TASK>__CLOUD__BUCKET`)."""
    return {f"FINETUNE_{task.upper()}__{name}": value for name, value in values.items()}


@dataclass(frozen=True)
class World:
    """The stand-ins as they run.

    Attributes:
        root: where they keep everything.
        gcs: the one for Cloud Storage, with the bucket `BUCKET`.
        vertex: the one for Vertex AI.
    """

    root: Path
    gcs: RunningGcs
    vertex: VertexProcess

    def address(self) -> dict[str, str]:
        """Return the variables that point Google's clients here; they are refused without the third one."""
        return {
            "STORAGE_EMULATOR_HOST": self.gcs.url,
            "FINETUNE_VERTEX_ENDPOINT": self.vertex.url,
            "FINETUNE_ALLOW_EMULATOR": "1",
        }

    def environment(self, *tasks: str, **settings: str) -> dict[str, str]:
        """Return the variables for runs of these cloud tasks; `settings` hold for each of them."""
        found = {**self.address(), "FINETUNE_TASKS": str(TASKS)}
        for task in tasks:
            place = {"CLOUD__PROJECT": PROJECT_ID, "CLOUD__BUCKET": f"gs://{BUCKET}/{task}"}
            found |= settings_of(task, {**place, **QUICK, **settings})
        return found

    def job_names(self, kind: str = "") -> list[str]:
        """Return the names of every job that was ever created here, the witness of what was submitted."""
        return [job["name"] for job in self.vertex.jobs() if kind in ("", job["kind"])]


@contextmanager
def running_world(root: Path, *, speed: float = SPEED, bucket: str = BUCKET, **settings: Any) -> Iterator[World]:
    """Run both stand-ins below a folder; both end with the block.

    Args:
        root: where they keep everything.
        speed: virtual seconds in a real one.
        bucket: made at the start, "" for none.
        settings: switches of the Vertex stand-in (see fakes/vertex.py).
    """
    with running_gcs(root / "gcs") as gcs, running_vertex(root / "vertex", gcs.url, speed=speed, **settings) as vertex:
        if bucket:
            gcs.bucket(bucket)
        yield World(root, gcs, vertex)
