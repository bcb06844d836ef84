"""What runs by itself: an endpoint after its approval, and nothing else."""

from pathlib import Path

import dagster as dg
import pytest

from finetune_assets.lineage.automation import chain_of, endpoint_condition
from finetune_assets.lineage.task_config import TaskConfig, TaskSpec

REPORT, APPROVAL, ENDPOINT = (
    dg.AssetKey(["toys", stage]) for stage in ("validation_report", "release_approval", "deployed_endpoint")
)


@pytest.fixture
def definitions() -> dg.Definitions:
    @dg.asset(key=REPORT)
    def report() -> None: ...

    @dg.asset(key=APPROVAL, deps=[REPORT])
    def approval() -> None: ...

    @dg.asset(key=ENDPOINT, deps=[REPORT, APPROVAL], automation_condition=endpoint_condition("toys"))
    def endpoint() -> None: ...

    @dg.asset_check(asset=REPORT, blocking=True)
    def gate(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed="fails" not in context.run.tags)

    return dg.Definitions(assets=[report, approval, endpoint], asset_checks=[gate])


def make(definitions: dg.Definitions, instance: dg.DagsterInstance, *keys: dg.AssetKey, fails: bool = False) -> None:
    tags = {"fails": "yes"} if fails else {}
    job = definitions.resolve_implicit_global_asset_job_def()
    job.execute_in_process(instance=instance, asset_selection=list(keys), tags=tags, raise_on_error=False)


def requested(definitions: dg.Definitions, instance: dg.DagsterInstance, cursor: object) -> tuple[bool, object]:
    result = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor)
    return result.get_requested_partitions(ENDPOINT) != set(), result.cursor


def test_an_endpoint_is_made_after_its_approval_only(definitions: dg.Definitions) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        asked, cursor = requested(definitions, instance, None)
        assert not asked
        make(definitions, instance, REPORT)
        asked, cursor = requested(definitions, instance, cursor)
        assert not asked, "a report waits for its approval"
        make(definitions, instance, APPROVAL)
        asked, cursor = requested(definitions, instance, cursor)
        assert asked
        make(definitions, instance, ENDPOINT)
        make(definitions, instance, REPORT)
        asked, cursor = requested(definitions, instance, cursor)
        assert not asked, "another report, an experiment's for instance, deploys nothing"


def test_a_gate_that_fails_holds_the_endpoint_back(definitions: dg.Definitions) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        _, cursor = requested(definitions, instance, None)
        make(definitions, instance, REPORT, fails=True)
        make(definitions, instance, APPROVAL)
        asked, cursor = requested(definitions, instance, cursor)
        assert not asked


@pytest.mark.parametrize(("approval", "last"), [("automatic", "deployed_endpoint"), ("manual", "validation_report")])
def test_a_job_stops_at_the_report_where_a_person_decides(tmp_path: Path, approval: str, last: str) -> None:
    config = TaskConfig.model_validate(
        {
            "task": "toys",
            "task_type": "classification",
            "dataset": {"source": {"path": "x"}},
            "classification": {"taxonomy": "t"},
            "release": {"approval": approval},
        }
    )
    assert chain_of(TaskSpec(config=config, folder=str(tmp_path)))[-1] == last
