"""deployed_endpoint: the approved candidate, answering through the real gateway, and the pointer that says it is live.

A single materialization is stopped by no upstream check, so everything is verified again here: the report's verdict,
the approval, and that both speak of these very weights. The gateway starts with the candidate in a process of its own
and answers recorded questions; only then the pointer moves, by compare-and-set. What was live stays live on failure.
"""

from typing import Any

import dagster as dg

from finetune_assets.feedback.config import NOT_SERVED, FeedbackConfig
from finetune_assets.lineage import show
from finetune_assets.lineage.automation import endpoint_condition
from finetune_assets.lineage.bases import EMBEDDED_STAGE
from finetune_assets.lineage.checks import Check, Evidence, build_checks
from finetune_assets.lineage.cloud.managed_tuning import kept_model_problems
from finetune_assets.lineage.cloud.release import deployed, reference_of, settle_release
from finetune_assets.lineage.contenders import Contender, find_candidate
from finetune_assets.lineage.judging import REPORT as REPORT_STAGE
from finetune_assets.lineage.release_approval import STAGE as APPROVAL
from finetune_assets.lineage.release_approval import judged
from finetune_assets.lineage.release_probes import recorded_probes
from finetune_assets.lineage.runtime import TaskRun, asset_key, materialized, open_task
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.records.digests import short
from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.deciding import standing_of
from finetune_assets.releases.manifest import (
    AdapterReference,
    BaseReference,
    ReleaseManifest,
    load_manifest,
    store_manifest,
)
from finetune_assets.releases.registry import LiveRelease, Registry, Release
from finetune_assets.releases.tally import Tally
from finetune_assets.resources.gateways import Gateways
from finetune_assets.resources.platform import Platform, RunOptions
from finetune_assets.serving.listing import ReleaseRef
from finetune_assets.serving.probe import ProbeEvidence, probe_release
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json, write_json_atomic
from finetune_assets.storage.leases import lease
from finetune_assets.training.digest import adapter_digest

STAGE = "deployed_endpoint"
CODE_VERSION = "1"
_CONSOLE = "https://console.cloud.google.com/vertex-ai/online-prediction/locations"


def build_asset(spec: TaskSpec) -> dg.AssetsDefinition:
    """Return the asset of one task."""

    @dg.asset(
        key=asset_key(spec.name, STAGE),
        deps=[asset_key(spec.name, REPORT_STAGE), asset_key(spec.name, APPROVAL)],
        group_name=spec.name,
        description="The live release: it answered its probes through the real gateway before the pointer moved.",
        kinds={"fastapi"},
        owners=spec.config.owners,
        code_version=CODE_VERSION,
        automation_condition=endpoint_condition(spec.name),
    )
    def deployed_endpoint(
        context: dg.AssetExecutionContext,
        platform: Platform,
        options: RunOptions,
        gateways: dg.ResourceParam[Gateways],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        task = open_task(context, spec, platform, options)
        artifact, live, evidence, reused = deploy(task, gateways)
        task.record(STAGE, artifact, reused=reused)
        return materialized(
            artifact, reused=reused, namespace=task.namespace, metadata=describe(live, evidence, artifact)
        )

    return deployed_endpoint


def deploy(task: TaskRun, gateways: Gateways) -> tuple[Artifact, LiveRelease, ProbeEvidence, bool]:
    """Verify, rehearse and make live; what is live already is only asked again.

    Raises:
        FinetuneError: when report, approval and weights do not agree, or the rehearsal fails; nothing has moved then.
    """
    candidate = find_candidate(task, task.result(REPORT_STAGE).manifest.get("variant", ""))
    release = verified_release(task, candidate)
    registry = Registry(task.database)
    with lease(task.database, f"deploy/{task.task}", wait_s=60):
        live = registry.live(task.task)
        reused = live is not None and live.candidate == candidate.candidate
        if reused and live is not None:
            artifact = task.artifacts.open("release", live.artifact_key)
        else:
            artifact = store_manifest(task.artifacts, manifest_of(task, candidate, release))
            registry.attach_manifest(release.id, artifact.key)
        if reused:
            evidence = rehearse(task, gateways, release, artifact)
        else:
            with deployed(task.for_variant(candidate.variant), load_manifest(task.artifacts, artifact.key)):
                evidence = rehearse(task, gateways, release, artifact)
                live = registry.move_pointer(
                    task.task,
                    release.id,
                    expected_seq=live.seq if live else 0,
                    action="deploy",
                    by=_standing(task, candidate).approvers,
                    run_id=task.run_id,
                )
        manifest = load_manifest(task.artifacts, artifact.key)
        settle_release(task.for_variant(candidate.variant), manifest, task.result(REPORT_STAGE).manifest["verdict"])
    if live is None:
        raise FinetuneError("the pointer did not move", where=f"{task.task}/{STAGE}")
    return artifact, live, evidence, reused


def verified_release(task: TaskRun, candidate: Contender) -> Release:
    """Return the candidate's release after holding report, approval and weights against each other.

    Raises:
        FinetuneError: naming what does not agree.
    """
    standing = _standing(task, candidate)
    report = judged(task, by_person=standing.by_people)
    place = f"{task.task}/{STAGE}"
    if report.manifest["candidate"] != candidate.candidate:
        raise FinetuneError(
            "report speaks of another candidate",
            where=place,
            found=short(report.manifest["candidate"]),
            expected=short(candidate.candidate),
            mend="materialize validation_report for the current adapter",
        )
    # Counted again by the policy that holds now, whatever state the registry says.
    if standing.outcome != "approve":
        raise FinetuneError(
            "candidate is not approved",
            where=place,
            found=f"{standing.sentence} on report {short(report.digest)}",
            expected=_expected(standing),
            mend=f"`finetune approve {task.task} {short(candidate.candidate)} --note …`",
        )
    _refuse_changed_weights(task, candidate, place)
    release = Registry(task.database).release(task.task, candidate.candidate)
    if release is None:
        raise FinetuneError("candidate is not registered", where=place, mend="materialize validation_report again")
    return release


def _refuse_changed_weights(task: TaskRun, candidate: Contender, place: str) -> None:
    adapter = candidate.adapter
    problems = adapter.verify() if adapter else ["there is no adapter"]
    if adapter and not problems and candidate.is_remote:
        problems = kept_model_problems(task, adapter)
    elif adapter and not problems and adapter_digest(adapter.path) != adapter.manifest["adapter_digest"]:
        problems = ["the adapter's digest is not the one that was judged"]
    if problems:
        raise FinetuneError(
            "weights are not the judged ones",
            where=place,
            found="; ".join(problems),
            mend="materialize tuned_adapter and validation_report again",
        )


def manifest_of(task: TaskRun, candidate: Contender, release: Release) -> ReleaseManifest:
    """Return the release's manifest, with probes from the test rows and the answers that the report saw."""
    adapter = candidate.adapter
    if adapter is None:
        raise FinetuneError("a release needs an adapter", where=f"{task.task}/{STAGE}")
    return ReleaseManifest(
        task=task.task,
        candidate=candidate.candidate,
        task_type=task.task_type().manifest(),
        template_hash=adapter.manifest["template_hash"],
        chat_template=candidate.base.chat_template,
        **_weights_of(task.for_variant(candidate.variant), candidate, adapter),
        report_key=release.report_key,
        report_digest=release.report_digest,
        max_new_tokens=task.result(REPORT_STAGE).manifest["answer_tokens"],
        probes=tuple(recorded_probes(task, candidate)),
        feedback=_feedback_of(task.config.feedback),
    )


def _feedback_of(config: FeedbackConfig) -> dict[str, Any] | None:
    """Return what a gateway has to know of the section; None for the defaults, which keep a release's key as it was."""
    if config.served() == FeedbackConfig():
        return None
    return config.model_dump(mode="json", exclude=set(NOT_SERVED))


def _weights_of(task: TaskRun, candidate: Contender, adapter: Artifact) -> dict[str, Any]:
    """Return the part of the manifest that says whose weights answer, and where they are."""
    if candidate.is_remote:
        # A remote model does not repeat itself to the letter: labels have to agree, free answers to be valid.
        labelled = task.task_type().choices() is not None
        return {"endpoint": reference_of(task, candidate), "probe_rule": "label" if labelled else "valid"}
    embedded = task.config.tuning.is_embedded
    return {
        "base": BaseReference(
            name=candidate.base.name,
            digest=candidate.base.digest,
            artifact_kind=EMBEDDED_STAGE if embedded else "",
            artifact_key=candidate.base.folder.name if embedded else "",
            folder=str(candidate.base.folder),
        ),
        "adapter": AdapterReference(kind=adapter.kind, key=adapter.key, digest=adapter.manifest["adapter_digest"]),
    }


def rehearse(task: TaskRun, gateways: Gateways, release: Release, artifact: Artifact) -> ProbeEvidence:
    """Ask the candidate its recorded questions through a real gateway.

    Raises:
        FinetuneError: when it does not give the recorded answers.
    """
    manifest = load_manifest(task.artifacts, artifact.key)
    reference = ReleaseRef(
        task=task.task, version=release.version, candidate=release.candidate, artifact_key=artifact.key
    )
    with gateways.serving(task.home, reference) as gateway:
        evidence = probe_release(gateway.url, manifest)
    write_json_atomic(_evidence_path(task), {"run_id": task.run_id, **evidence.to_json()})
    if not evidence.passed:
        raise FinetuneError(
            "rehearsal failed",
            where=f"{task.task} version {release.version}",
            found=evidence.summary,
            mend=f"what was live stays live; see {task.home.logs / 'rehearsal.log'}",
        )
    return evidence


def _evidence_path(task: TaskRun) -> Any:
    return task.home.path / "evidence" / f"probe-{task.task}.json"


def _standing(task: TaskRun, candidate: Contender) -> Tally:
    """Return how the candidate stands on the current report by the policy that holds now."""
    report = task.result(REPORT_STAGE)
    return standing_of(task.database, task.task, candidate.candidate, report.digest, task.config.release)


def _expected(standing: Tally) -> str:
    if standing.needed == 1:
        return "an approval of this candidate on this report"
    return f"approvals of this candidate on this report by {standing.needed} people"


def describe(live: LiveRelease, evidence: ProbeEvidence, artifact: Artifact) -> dict[str, Any]:
    """Return the metadata that a person wants to see."""
    rows = [
        {
            "probe": result.position,
            "passed": result.passed,
            "expected": " / ".join(result.expected),
            "found": " / ".join(result.found),
            "latency_ms": result.latency_ms,
        }
        for result in evidence.results
    ]
    return {
        "version": live.version,
        "candidate": short(live.candidate),
        "base_model": live.base_model,
        "deployed_by": live.deployed_by,
        "pointer": live.seq,
        **_where(artifact),
        "probes": show.table(rows),
        "manifest": dg.MetadataValue.path(str(artifact.file("release.json"))),
    }


def _where(artifact: Artifact) -> dict[str, Any]:
    """Return where a release answers whose weights are in the cloud; nothing for one that the gateway loads itself."""
    found = read_json(artifact.file("release.json")).get("endpoint")
    if not found:
        return {}
    place, name = found["location"], found["endpoint"].rsplit("/", 1)[-1]
    told: dict[str, Any] = {
        "endpoint": found["endpoint"],
        "in_the_console": dg.MetadataValue.url(f"{_CONSOLE}/{place}/endpoints/{name}?project={found['project']}"),
        "model": found["model"],
    }
    if found.get("deployed_model_id"):
        told["deployed_model"] = found["deployed_model_id"]
    return told


def build_asset_checks(spec: TaskSpec) -> dg.AssetChecksDefinition:
    """Return the checks of one task's endpoint; both ask the living system, not a memory of it."""

    def smoke_test(task: TaskRun, artifact: Artifact) -> Evidence:
        found = _probe_of_this_run(task)
        if found is None:
            live = _live(task)
            evidence = rehearse(task, Gateways(), live, task.artifacts.open("release", live.artifact_key))
            found = evidence.to_json()
        return Evidence(
            passed=bool(found["passed"]),
            summary=str(found["summary"]),
            numbers={"probes": len(found["results"])},
            rows=[
                {"probe": row["position"], "problem": row["problem"]} for row in found["results"] if not row["passed"]
            ],
        )

    def serves_candidate(task: TaskRun, artifact: Artifact) -> Evidence:
        live = _live(task)
        manifest = load_manifest(task.artifacts, live.artifact_key)
        agree = manifest.candidate == live.candidate == artifact.manifest["candidate"]
        return Evidence(
            passed=agree,
            summary=f"pointer {live.seq}: version {live.version}, candidate {short(live.candidate)}; "
            f"the endpoint was made with {short(artifact.manifest['candidate'])}",
            numbers={"version": live.version},
        )

    return build_checks(
        spec,
        STAGE,
        [
            Check(
                "smoke_test",
                "The real gateway gives the recorded answers with this release.",
                smoke_test,
                memoise=False,
            ),
            Check(
                "serves_candidate", "The live pointer stands at this very candidate.", serves_candidate, memoise=False
            ),
        ],
    )


def _probe_of_this_run(task: TaskRun) -> dict[str, Any] | None:
    path = _evidence_path(task)
    found: dict[str, Any] | None = read_json(path) if path.exists() else None
    return found if found and found["run_id"] == task.run_id else None


def _live(task: TaskRun) -> LiveRelease:
    live = Registry(task.database).live(task.task)
    if live is None:
        raise FinetuneError("nothing is live", where=f"{task.task}/{STAGE}", mend=f"`finetune run {task.task}`")
    return live
