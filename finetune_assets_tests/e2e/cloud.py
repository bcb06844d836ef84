"""Cloud tasks in tests of whole flows: stand-ins beside a home, and what both say of a job."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home
from finetune_assets.storage.intents import Intent, IntentEvent, events_of, list_intents
from finetune_assets_tests.e2e.command import MadeHome, Said, finetune
from finetune_assets_tests.twin.world import BUCKET, World, running_world

GEMINI = "childcare_gemini"
IMAGE = f"us-central1-docker.pkg.dev/twin-project/finetune/finetune_assets@sha256:{'0' * 64}"
# The project's own trainer in its container, on the small model that needs no download, for a few steps.
SMALL = {
    "TUNING__BASE_MODEL": "embedded",
    "TUNING__EPOCHS": "0.3",
    "TUNING__CUSTOM_JOB__IMAGE": IMAGE,
    "EVALUATION__RESAMPLES": "200",
}
SPOT_PRICE = """
currency: USD
sources: {own: https://cloud.google.com/spot-vms/pricing}
prices:
  - {kind: machine, name: g2-standard-12, price: 0.7, unit: hour, region: us-central1, source: own, as_of: 2026-11-01,
     spot: true}
"""


@dataclass(frozen=True)
class Cloud:
    """A home whose cloud is on this machine.

    Attributes:
        home: the home.
        world: the stand-ins.
    """

    home: Path
    world: World

    def env(self, task: str = GEMINI, **settings: str) -> dict[str, str]:
        return self.world.environment(task, **settings)

    def run(self, task: str = GEMINI, *options: str, env: Mapping[str, str] | None = None, **settings: str) -> Said:
        """Run `finetune run`."""
        return finetune(self.home, "run", task, *options, env={**self.env(task, **settings), **(env or {})})

    def say(self, *arguments: str, task: str = GEMINI, **settings: str) -> Said:
        """Run any other command."""
        return finetune(self.home, *arguments, env=self.env(task, **settings))

    def intents(self, task: str = GEMINI) -> list[Intent]:
        """Return the task's paid jobs as the home knows them."""
        return [item for item in list_intents(Database.open(Home(self.home).database_url), task) if item.is_paid]

    def events(self, intent: Intent) -> list[IntentEvent]:
        """Return what became of a job."""
        return events_of(Database.open(Home(self.home).database_url), intent.request_key)

    def jobs(self, kind: str = "TuningJob") -> list[dict[str, Any]]:
        """Return every job of a kind that was ever created, as the stand-in bears witness."""
        return [job for job in self.world.vertex.jobs() if job["kind"] == kind]


@contextmanager
def cloud_at(root: Path, prepared: MadeHome | None = None, **settings: Any) -> Iterator[Cloud]:
    """Run the stand-ins beside a new home, or beside copies of a home and a bucket that are there.

    Args:
        root: folder for all of it.
        prepared: what `prepare` made.
        settings: switches of the Vertex stand-in, and `speed`.
    """
    if prepared is not None:
        shutil.copytree(prepared.path, root / "home")
        shutil.copytree(prepared.path.parent / "cloud" / "gcs", root / "cloud" / "gcs")
    with running_world(root / "cloud", bucket="" if prepared else BUCKET, **settings) as world:
        yield Cloud(root / "home", world)


def prepare(home: Path) -> Said:
    """Bring the Gemini task's rows to the bucket; nothing is asked of Vertex AI."""
    with running_world(home.parent / "cloud") as world:
        return finetune(home, "run", GEMINI, "--until", "uploaded_dataset", env=world.environment(GEMINI))
