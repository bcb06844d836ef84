"""What a task's state is, in one object: the live release, the last run, the rows.

The CLI prints it, as a table or as JSON; nothing here changes anything.
"""

from dataclasses import dataclass
from typing import Any

import dagster as dg

from finetune_assets.lineage.instance import GATE_TAG, TASK_TAG
from finetune_assets.lineage.raw_observations import STAGE as RAW
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.lineage.validated_splits import STAGE as SPLITS
from finetune_assets.records.example import SPLITS as SPLIT_NAMES
from finetune_assets.releases.registry import Registry
from finetune_assets.storage import stages
from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.files import read_json
from finetune_assets.storage.home import Home
from finetune_assets.storage.namespaces import MAIN


@dataclass(frozen=True)
class StatusReader:
    """Reads the state of tasks in one home."""

    home: Home
    database: Database
    instance: dg.DagsterInstance

    def read(self, spec: TaskSpec) -> dict[str, Any]:
        """Return one task's state as `finetune status --json` prints it."""
        return {
            "task": spec.name,
            "task_type": spec.config.task_type,
            "live": self.live(spec.name),
            "last_run": self.last_run(spec.name),
            "counts": self.counts(spec.name),
        }

    def live(self, task: str) -> dict[str, Any] | None:
        """Return the live release, or None."""
        release = Registry(self.database).live(task)
        if release is None:
            return None
        return {
            "version": release.version,
            "candidate": release.candidate,
            "base_model": release.base_model,
            "deployed_at": release.deployed_at.isoformat(),
            "scores": release.scores,
        }

    def last_run(self, task: str) -> dict[str, Any] | None:
        """Return the newest run that worked on the task, or None."""
        tagged = self.instance.get_run_records(filters=dg.RunsFilter(tags={TASK_TAG: task}), limit=1)
        run = tagged[0].dagster_run if tagged else None
        # Assets materialized by hand in the UI carry no tag; their stage results name the run.
        latest = stages.latest_run(self.database, task)
        if latest and (run is None or self._newer(latest, run.run_id)):
            run = self.instance.get_run_by_id(latest) or run
        if run is None:
            return None
        return {"run_id": run.run_id, "state": run.status.value, "gate": run.tags.get(GATE_TAG)}

    def _newer(self, one: str, other: str) -> bool:
        first, second = self.instance.get_run_record_by_id(one), self.instance.get_run_record_by_id(other)
        return bool(first and second and first.create_timestamp > second.create_timestamp)

    def counts(self, task: str, namespace: str = MAIN) -> dict[str, int | None]:
        """Return the rows by fate; None where the stage has not run.

        Only subsets have rows outside of their limit, and only records that give several examples have further ones.
        """
        raw = self._summary(task, namespace, RAW)
        splits = self._summary(task, namespace, SPLITS)
        names = ("read", "accepted", "quarantined", "duplicates", *SPLIT_NAMES)
        counts: dict[str, int | None] = dict.fromkeys(names)
        if raw:
            counts["read"], counts["quarantined"] = raw["read"], raw["quarantined"]
        if raw and splits:
            by_split = splits["splits"]
            counts |= {name: by_split[name] for name in SPLIT_NAMES}
            counts["accepted"] = sum(by_split.values())
            counts["quarantined"] = raw["quarantined"] + splits["quarantined"]
            counts["duplicates"] = splits["duplicates"]
            if further := splits.get("expanded", 0):
                counts["further_examples"] = further
            if outside := splits.get("outside_limit", 0):
                counts["outside_limit"] = outside
        return counts

    def stage(self, task: str, namespace: str, stage: str) -> Artifact | None:
        """Return a stage's newest artifact, or None."""
        found = stages.find_stage(self.database, task, namespace, stage, "")
        return ArtifactStore(self.home.artifacts).find(found.kind, found.key) if found else None

    def _summary(self, task: str, namespace: str, stage: str) -> dict[str, Any] | None:
        artifact = self.stage(task, namespace, stage)
        return read_json(artifact.file("summary.json")) if artifact else None
