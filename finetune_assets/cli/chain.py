"""The CLI's runs of a task's chain: which assets, in which namespace, and what came of it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

import dagster as dg

from finetune_assets.cli.common import current_user as current_user  # also for those who look for it here
from finetune_assets.cli.running import EventHandler, RunResult, execute
from finetune_assets.definitions import build_resources
from finetune_assets.defs.platform.definitions import platform_defs
from finetune_assets.lineage.automation import chain_of, job_name
from finetune_assets.lineage.base_model import embedded_base_key
from finetune_assets.lineage.graph import build_task_graph
from finetune_assets.lineage.instance import NAMESPACE_TAG, sweep_dead_runs
from finetune_assets.lineage.runtime import STAGES, asset_key, assets_of, namespace_of
from finetune_assets.lineage.settings import resolve
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.lineage.tuning_request import ADAPTER
from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases import approvals
from finetune_assets.releases.config import ReleaseConfig
from finetune_assets.releases.deciding import standing_of
from finetune_assets.releases.registry import Registry
from finetune_assets.releases.tally import Channel, Tally
from finetune_assets.resources.gateways import LOG_NAME, Gateways, WarmGateways
from finetune_assets.resources.platform import RunOptions
from finetune_assets.serving.process import start_gateway
from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home
from finetune_assets.storage.namespaces import MAIN

DEPLOY_STAGES = ("release_approval", "deployed_endpoint")


@dataclass(frozen=True)
class Outcome:
    """What a run of the chain was and how it ended.

    Attributes:
        result: the run's end.
        stages: the assets that were selected.
        namespace: `main`, or the experiment's.
        stops_for_approval: True when the run ended before approval because a person has to decide.
        approvers: how many people have to approve then.
        open_to_people: verdicts besides PASS that people may approve then.
        is_smoke: True for a smoke test.
        standing: how the candidate stands after a decision; None for other runs.
    """

    result: RunResult
    stages: list[str]
    namespace: str
    stops_for_approval: bool = False
    approvers: int = 1
    open_to_people: tuple[str, ...] = ()
    is_smoke: bool = False
    standing: Tally | None = None

    @property
    def is_experiment(self) -> bool:
        """True when the run could not become live."""
        return self.namespace != MAIN


def run_chain(
    spec: TaskSpec,
    instance: dg.DagsterInstance,
    home: Home,
    *,
    limit: int,
    until: str,
    overrides: Mapping[str, str],
    on_event: EventHandler,
    smoke: bool = False,
    tags: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a task's chain in this process.

    Args:
        spec: the task.
        instance: the shared instance.
        home: the platform's home.
        limit: take a stratified subset of about this many examples; 0 takes all.
        until: the last asset to make; "" makes the whole chain.
        overrides: values to try.
        on_event: called with each event of the run.
        smoke: a smoke test: tune on `cloud.smoke.rows` rows, ask one question, and write down that it worked.
        tags: further tags of the run.

    Returns:
        What was run and how it ended.

    Raises:
        FinetuneError: for a setting or an asset that does not exist, before anything runs.
    """
    sweep_dead_runs(instance)
    settings = resolve(spec, overrides, os.environ)
    if smoke:
        limit, until = settings.config.cloud.smoke.rows, ADAPTER
    options = RunOptions(limit=limit, overrides=dict(overrides), smoke=smoke)
    effective = TaskSpec(config=settings.config, folder=spec.folder)
    stages = _selected(effective, until, experiment=options.is_experiment)
    namespace = namespace_of(options)
    keys = [asset_key(spec.name, name) for stage in stages for name in assets_of(effective.config, stage)]
    # Rows are counted by the base's own tokenizer where it is there; data alone is not worth a minute of pre-training.
    if settings.config.tuning.needs_embedded and "tuned_adapter" in stages:
        keys.append(embedded_base_key())
    run_options: dict[str, Any] = {"limit": limit, "overrides": dict(overrides), "smoke": smoke}
    with warm_gateways(spec.name, home, wanted="deployed_endpoint" in stages) as gateways:
        result = execute(
            # A value that is tried may change the graph's shape: several tuning variants, another gate.
            _job(effective, gateways),
            instance,
            task=spec.name,
            assets=keys,
            run_config={"resources": {"options": {"config": run_options}, **_platform(home)}},
            tags={NAMESPACE_TAG: namespace, **(tags or {})},
            on_event=on_event,
        )
    policy = settings.config.release
    waits = policy.approval == "manual" and not until and not options.is_experiment
    return Outcome(
        result,
        stages,
        namespace,
        stops_for_approval=waits,
        approvers=policy.approvers,
        open_to_people=("INCONCLUSIVE",) if policy.inconclusive == "person" else (),
        is_smoke=smoke,
    )


def _platform(home: Home) -> dict[str, Any]:
    return {"platform": {"config": {"home_path": str(home.path)}}}


def _selected(spec: TaskSpec, until: str, *, experiment: bool) -> list[str]:
    stages = chain_of(spec)
    if until and until not in STAGES:
        raise FinetuneError("asset is not known", where="--until", found=until, expected=f"one of {', '.join(STAGES)}")
    if until and until not in stages:
        raise FinetuneError(
            "asset waits for a person",
            where=f"--until {until}",
            mend=f"run without it, then `finetune approve {spec.name} CANDIDATE`",
        )
    if experiment:
        stages = [stage for stage in stages if stage not in DEPLOY_STAGES]
        if until and until not in stages:
            raise FinetuneError(
                "an experiment is never released", where=f"--until {until}", mend="leave out --set and --limit"
            )
    return stages[: stages.index(until) + 1] if until else stages


@contextmanager
def warm_gateways(task: str, home: Home, *, wanted: bool) -> Iterator[WarmGateways]:
    """Give gateways of which the first loads its libraries beside the run, where one will be needed soon.

    That is when a release is live already: then the run mostly reuses what is there, and would wait for the gateway.
    """
    gateways = WarmGateways()
    if not wanted or Registry(Database.open(home.database_url)).live(task) is None:
        yield gateways
        return
    with start_gateway(home, log=home.logs / LOG_NAME, releases=[]) as gateway:
        gateways.warm(gateway)
        yield gateways


def _job(spec: TaskSpec, gateways: Gateways | None = None, *, decide: bool = False) -> dg.JobDefinition:
    """Return the task's job, from the same builders as the code location's but without loading the other tasks."""
    resources = build_resources({"gateways": gateways} if gateways else None)
    parts = [
        build_task_graph(spec),
        platform_defs(),
        dg.Definitions(resources=resources, executor=dg.in_process_executor),
    ]
    if decide:
        keys = [asset_key(spec.name, stage) for stage in DEPLOY_STAGES]
        parts.append(
            dg.Definitions(jobs=[dg.define_asset_job(_decide_job(spec.name), dg.AssetSelection.assets(*keys))])
        )
    definitions = dg.Definitions.merge(*parts)
    return definitions.resolve_job_def(_decide_job(spec.name) if decide else job_name(spec.name))


def _decide_job(task: str) -> str:
    return f"release_{task}"


def full_candidate(database: Database, task: str, prefix: str) -> str:
    """Return the registered candidate that a prefix of at least 8 digits names.

    Raises:
        FinetuneError: when none or several match.
    """
    known = [release.candidate for release in Registry(database).releases(task)]
    found = sorted({name for name in known if name.startswith(prefix)}) if len(prefix) >= 8 else []
    if len(found) != 1:
        raise FinetuneError(
            "candidate is not known" if not found else "candidate is ambiguous",
            where=task,
            found=prefix,
            expected="one of " + ", ".join(name[:12] for name in known) if known else "a candidate; none is registered",
            mend=f"run `finetune run {task}` first" if not known else "give at least 8 of its digits",
        )
    return found[0]


def issue_code(
    spec: TaskSpec, home: Home, candidate: str, decision: str, channel: Channel = "launchpad"
) -> tuple[str, str]:
    """Give out a single-use code for a decision; return it with the full candidate."""
    if decision not in {"approve", "reject"}:
        raise FinetuneError("decision is not known", found=decision, expected="approve or reject")
    database = Database.open(home.database_url)
    full = full_candidate(database, spec.name, candidate)
    kind = cast("Literal['approve', 'reject']", decision)
    code = approvals.issue_code(
        database, task=spec.name, candidate=full, decision=kind, approver=current_user(), channel=channel
    )
    return code, full


def decide(
    spec: TaskSpec,
    instance: dg.DagsterInstance,
    home: Home,
    candidate: str,
    decision: str,
    note: str,
    *,
    on_event: EventHandler,
) -> Outcome:
    """Carry out a person's decision: approve, and deploy when nobody else is missing; or reject."""
    policy = resolve(spec, {}, os.environ).config.release
    if policy.approval != "manual":
        raise FinetuneError(
            "task is approved by policy",
            where=f"{spec.name}: release.approval",
            found="automatic",
            expected="manual",
            mend="set `release: {approval: manual}` in defs.yaml to decide by hand",
        )
    sweep_dead_runs(instance)
    code, full = issue_code(spec, home, candidate, decision, "cli")
    stages = list(DEPLOY_STAGES) if decision == "approve" else [DEPLOY_STAGES[0]]
    form = {"candidate": full, "decision": decision, "note": note, "code": code}
    op = "__".join(asset_key(spec.name, DEPLOY_STAGES[0]).path)
    result = execute(
        _job(spec, decide=True),
        instance,
        task=spec.name,
        assets=[asset_key(spec.name, stage) for stage in stages],
        run_config={"ops": {op: {"config": form}}, "resources": _platform(home)},
        tags={NAMESPACE_TAG: "main"},
        on_event=on_event,
    )
    return Outcome(result, stages, MAIN, standing=_standing(home, spec.name, full, policy))


def _standing(home: Home, task: str, candidate: str, policy: ReleaseConfig) -> Tally | None:
    """Return how a candidate stands on the report on which it was decided last."""
    database = Database.open(home.database_url)
    said = approvals.latest(database, task, candidate)
    return None if said is None else standing_of(database, task, candidate, said.report_digest, policy)
