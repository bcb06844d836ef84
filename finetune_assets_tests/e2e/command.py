"""How these tests speak to the platform: as a user does, by `finetune` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from finetune_assets.cli.running import first_line
from finetune_assets.definitions import build_defs
from finetune_assets.lineage.instance import install_instance
from finetune_assets.lineage.runtime import asset_key
from finetune_assets.releases.registry import LiveRelease, Registry
from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home
from finetune_assets.storage.stages import find_stage

PROJECT = Path(__file__).resolve().parents[2]
TASK = "childcare"
MANUAL = {"FINETUNE_CHILDCARE__RELEASE__APPROVAL": "manual"}
# Stand-ins for secrets: they must be found nowhere afterwards.
SECRETS = {"HF_TOKEN": "hf_marker_5f0c7d21ab", "WANDB_API_KEY": "wandb_marker_93e1b2c4d5"}
STAGES = (
    "raw_observations",
    "validated_splits",
    "uploaded_dataset",
    "tuned_adapter",
    "validation_report",
    "release_approval",
    "deployed_endpoint",
)


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err

    def json(self) -> Any:
        assert self.code == 0, self.all
        return json.loads(self.out)

    def one_error(self, *, alone: bool = True) -> str:
        """Return the error, which must be one line, and with `alone` all that stands on stderr."""
        assert self.code == 1, self.all
        assert "Traceback" not in self.all
        lines = [line for line in self.err.splitlines() if alone or line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: "), self.err
        return lines[0]


@dataclass(frozen=True)
class MadeHome:
    """A home, and what the run said that made it."""

    path: Path
    said: Said


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a user's environment: this one's without what would configure the platform."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FINETUNE_", "DAGSTER_"))}
    kept |= {"FINETUNE_HOME": str(home), "PYTHONPATH": str(PROJECT), "NO_COLOR": "1"}
    return kept | dict(extra or {})


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "finetune_assets.cli", *arguments]


def finetune(home: Path, *arguments: str, env: Mapping[str, str] | None = None, seconds: float = 600) -> Said:
    """Run `finetune` to its end, in a folder that holds nothing of the project."""
    home.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        command(*arguments),
        env=environment(home, env),
        cwd=home.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def start(home: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start `finetune` at the head of a process group of its own."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / "started.log").open("a") as log:
        return subprocess.Popen(
            command(*arguments),
            env=environment(home, env),
            cwd=home.parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )


def database(home: Path) -> Database:
    return Database.open(Home(home).database_url)


def live_release(home: Path, task: str = TASK) -> LiveRelease | None:
    return Registry(database(home)).live(task)


def candidate_of(home: Path, task: str = TASK) -> str:
    """Return the candidate of the newest report."""
    report: str = result(home, "validation_report", task).manifest["candidate"]
    return report


def result(home: Path, stage: str, task: str = TASK, namespace: str = "main") -> Artifact:
    """Return the newest artifact of a stage."""
    found = find_stage(database(home), task, namespace, stage, "")
    assert found is not None, f"{stage} has no result"
    return ArtifactStore(Home(home).artifacts).open(found.kind, found.key)


def digests(home: Path) -> dict[str, str]:
    """Return what must come out the same however often a run was killed."""
    names = ("raw_observations", "validated_splits", "uploaded_dataset", "tuned_adapter", "validation_report")
    found = {stage: result(home, stage).digest for stage in names}
    found["base"] = result(home, "embedded_base_model", "platform").digest
    found["candidate"] = candidate_of(home)
    return found


def materializations(home: Path, run_id: str) -> dict[str, dict[str, Any]]:
    """Return the metadata of each asset that a run made, by stage."""
    found = {}
    with instance_of(home) as instance:
        for record in instance.get_records_for_run(run_id, limit=10_000).records:
            event = record.event_log_entry.dagster_event
            if event is not None and event.is_step_materialization:
                made = event.step_materialization_data.materialization
                found[made.asset_key.path[-1]] = {name: value.value for name, value in made.metadata.items()}
    return found


def instance_of(home: Path) -> dg.DagsterInstance:
    """Open the home's instance in this process, as the UI's processes do."""
    variables = dict(os.environ)
    folder = install_instance(Home(home), variables)
    return dg.DagsterInstance.from_config(str(folder))


@dataclass(frozen=True)
class Clicked:
    """What came of a materialization, or of checks, that somebody asked for by a click."""

    success: bool
    error: str
    checks: dict[str, dg.AssetCheckEvaluation]


def click(
    home: Path,
    *stages: str,
    form: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    checks: Mapping[str, str] | None = None,
) -> Clicked:
    """Do in this process what "Materialize" with a filled Launchpad does, or run single checks (name → stage)."""
    defs = build_defs()
    resources: dict[str, Any] = {"platform": {"config": {"home_path": str(home)}}}
    if options:
        resources["options"] = {"config": dict(options)}
    config: dict[str, Any] = {"resources": resources, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    if form:
        config["ops"] = {f"{TASK}__{stages[0]}": {"config": dict(form)}}
    selection = dg.AssetSelection.assets(*(asset_key(TASK, stage) for stage in stages)) if stages else None
    for name, stage in (checks or {}).items():
        chosen = dg.AssetSelection.checks(dg.AssetCheckKey(asset_key(TASK, stage), name))
        selection = selection | chosen if selection else chosen
    job = dg.define_asset_job("clicked", selection=selection)
    whole = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
    with instance_of(home) as instance:
        done = whole.resolve_job_def("clicked").execute_in_process(
            instance=instance, run_config=config, raise_on_error=False
        )
    failures = [event.step_failure_data.error for event in done.all_events if event.is_step_failure]
    evaluations = {item.check_name: item for item in done.get_asset_check_evaluations()}
    return Clicked(done.success, first_line(failures[0]) if failures else "", evaluations)
