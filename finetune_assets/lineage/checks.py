"""How asset checks are made: one step for all checks of an asset, each of which can be run again by itself.

A gate is blocking and of severity ERROR. The evidence of a check is kept by the digest of what it looked at: in a run
that reused the asset's artifact, the evidence is reused too; run by hand, a check looks again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from finetune_assets.lineage import show
from finetune_assets.lineage.runtime import TaskRun, asset_key, open_task
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.records.digests import digest_of
from finetune_assets.resources.platform import Platform, RunOptions
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json, write_json_atomic

# Raised when the meaning of a check changes, so that evidence of an older meaning is not reused.
CHECKS_VERSION = 1


@dataclass(frozen=True)
class Evidence:
    """What a check found.

    Attributes:
        passed: the verdict.
        summary: one line for a person.
        numbers: figures that the UI plots over time.
        rows: the failing rows: ids, fields and reasons, never texts of people.
    """

    passed: bool
    summary: str
    numbers: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"passed": self.passed, "summary": self.summary, "numbers": self.numbers, "rows": self.rows}


@dataclass(frozen=True)
class Check:
    """One check of an asset.

    Attributes:
        name: its name in the graph.
        description: what it proves.
        look: the function that looks at the stage's artifact.
        gate: True blocks everything downstream; False only warns.
        means: names what the check looks with, where that may change while artifact and settings do not: evidence of
            other means is not reused.
        memoise: False for what must be asked of the living system each time.
    """

    name: str
    description: str
    look: Callable[[TaskRun, Artifact], Evidence]
    gate: bool = True
    memoise: bool = True
    means: Callable[[TaskRun], str] | None = None


def build_checks(
    spec: TaskSpec, stage: str, checks: Sequence[Check], *, additional_deps: Sequence[dg.AssetKey] = ()
) -> dg.AssetChecksDefinition:
    """Return the asset's checks as one step that can be run in part."""
    by_name = {check.name: check for check in checks}
    key = asset_key(spec.name, stage)

    @dg.multi_asset_check(
        name=f"{spec.name}__{stage}_checks",
        specs=[
            dg.AssetCheckSpec(
                name=check.name,
                asset=key,
                description=check.description,
                blocking=check.gate,
                additional_deps=list(additional_deps),
            )
            for check in checks
        ],
        can_subset=True,
    )
    def run_checks(
        context: dg.AssetCheckExecutionContext, platform: Platform, options: RunOptions
    ) -> Iterator[dg.AssetCheckResult]:
        task = open_task(context, spec, platform, options)
        artifact = task.result(stage)
        for check_key in sorted(context.selected_asset_check_keys):
            check = by_name[check_key.name]
            evidence, reused = _evidence(task, stage, artifact, check)
            yield _result(key, check, evidence, reused=reused)

    return run_checks


def _evidence(task: TaskRun, stage: str, artifact: Artifact, check: Check) -> tuple[Evidence, bool]:
    if not check.memoise:
        return check.look(task, artifact), False
    key = digest_of(
        {
            "version": CHECKS_VERSION,
            "check": check.name,
            "stage": stage,
            "task": task.task,
            "artifact": [artifact.kind, artifact.key, artifact.digest],
            "config": task.config.model_dump(mode="json"),
            "means": check.means(task) if check.means else "",
        }
    )
    place = task.home.path / "evidence" / f"{key}.json"
    if task.reused(stage) and place.exists():
        return Evidence(**read_json(place)), True
    evidence = check.look(task, artifact)
    write_json_atomic(place, evidence.to_json())
    return evidence, False


def _result(key: dg.AssetKey, check: Check, evidence: Evidence, *, reused: bool) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {"summary": evidence.summary, "reused": reused, **evidence.numbers}
    if evidence.rows:
        metadata["rows"] = show.table(evidence.rows)
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=check.name,
        passed=evidence.passed,
        severity=dg.AssetCheckSeverity.ERROR if check.gate else dg.AssetCheckSeverity.WARN,
        description=evidence.summary,
        metadata=metadata,
    )
