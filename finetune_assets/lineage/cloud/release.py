"""A release at an endpoint of one's own: deployed with a small share of the traffic, probed there, then given all.

What answered before stays until the newcomer has; on failure the traffic goes back first, and the newcomer leaves
second.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from finetune_assets.lineage.cloud.doors import open_clients, patience_of
from finetune_assets.lineage.cloud.managed_tuning import location_of
from finetune_assets.lineage.cloud.remote_models import gemini_reference, registered
from finetune_assets.lineage.contenders import Contender
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.manifest import EndpointReference, ReleaseManifest
from finetune_assets.serving.cloud.calls import Patience
from finetune_assets.serving.cloud.deployments import deploy, deployed_id
from finetune_assets.serving.cloud.endpoint_state import EndpointState
from finetune_assets.serving.cloud.endpoints import ensure_endpoint, shares, shift, show, undeploy
from finetune_assets.serving.cloud.model_registry import add_labels, get_version, set_alias
from finetune_assets.serving.cloud.probing import probe_deployed, tries_for
from finetune_assets.serving.cloud.traffic import WHOLE, with_newcomer
from finetune_assets.serving.engines.endpoints import endpoint_engine
from finetune_assets.task_types import task_type_from_manifest
from finetune_assets.tuning.cloud.clients import CloudClients

LIVE_ALIAS = "live"
_LABEL_DIGITS = 40


def reference_of(task: TaskRun, candidate: Contender) -> EndpointReference | None:
    """Return where a release of the candidate is asked; None for one that runs here. Nothing is deployed by it."""
    adapter = candidate.adapter
    if adapter is None or "managed" not in adapter.manifest:
        return None
    if adapter.manifest["managed"]["backend"] == "gemini":
        return gemini_reference(task, adapter)
    clients = open_clients(task, task.config.cloud.serves_in)
    version = registered(task, adapter, candidate.candidate)
    endpoint = ensure_endpoint(clients, task.task, patience=patience_of(task))
    return EndpointReference(
        kind="vertex_endpoint",
        endpoint=endpoint.name,
        model=version.name,
        base_model=candidate.base.name,
        project=clients.project,
        location=clients.location,
        deployed_model_id=deployed_id(candidate.candidate),
        host=f"https://{endpoint.dedicated_dns}" if endpoint.dedicated_dns else "",
    )


@contextmanager
def deployed(task: TaskRun, manifest: ReleaseManifest) -> Iterator[None]:
    """Deploy a release's weights, give them all traffic when their probes passed, and put all back on failure.

    In the block the endpoint answers with this release alone; the caller rehearses it there and moves the pointer. What
    answered before is still there afterwards, without traffic: `settle_release` takes it away.

    Raises:
        FinetuneError: when the candidate does not give its recorded answers; the endpoint is as it was.
    """
    reference = manifest.endpoint
    if reference is None or reference.kind != "vertex_endpoint":
        yield
        return
    clients, machines = open_clients(task, reference.location), task.config.cloud.endpoint
    patience = patience_of(task)
    before = show(clients, reference.endpoint, patience=patience)
    ours = reference.deployed_model_id
    state = deploy(
        clients,
        reference.endpoint,
        model=reference.model,
        candidate=manifest.candidate,
        display_name=f"{task.task}-{manifest.candidate[:8]}",
        machines=machines,
        percent=machines.first_traffic,
        service_account=task.config.cloud.service_account,
        patience=patience,
    )
    try:
        _probe(manifest, reference, shares(state).get(ours, 0) or _give_first_share(clients, reference, state, task))
        shift(clients, reference.endpoint, {ours: WHOLE}, patience=patience)
        yield
    except BaseException:
        _put_back(clients, reference, before, patience)
        raise


def settle_release(task: TaskRun, manifest: ReleaseManifest, verdict: str) -> None:
    """Do what is left once the pointer stands at a release; doing it twice changes nothing.

    Model Registry is told which version is live and what judged it, and whoever answered before is undeployed, unless
    YAML keeps it: a run that broke off before this would leave machines that cost.

    Args:
        task: the task as the release's variant sees it.
        manifest: the live release's.
        verdict: the gates' verdict.
    """
    reference = manifest.endpoint
    if reference is None:
        return
    patience = patience_of(task)
    if reference.model:
        registry = open_clients(task, location_of(reference.model) or reference.location)
        version = get_version(registry, reference.model, patience=patience)
        add_labels(registry, version, _labels_of(manifest, verdict), patience=patience)
        if LIVE_ALIAS not in version.aliases:
            set_alias(registry, version, [LIVE_ALIAS], patience=patience)
    if reference.kind != "vertex_endpoint" or task.config.cloud.endpoint.keep_previous:
        return
    clients = open_clients(task, reference.location)
    seen = show(clients, reference.endpoint, patience=patience)
    if shares(seen).get(reference.deployed_model_id) == WHOLE:
        for other in sorted(seen.ids - {reference.deployed_model_id}):
            undeploy(clients, reference.endpoint, other, patience=patience)


def _labels_of(manifest: ReleaseManifest, verdict: str) -> dict[str, str]:
    return {"gate": verdict.lower(), "report": manifest.report_digest[:_LABEL_DIGITS]}


def _give_first_share(clients: CloudClients, reference: EndpointReference, state: EndpointState, task: TaskRun) -> int:
    """Give a model that is there without traffic (an earlier try broke off) its first share again."""
    ours, percent = reference.deployed_model_id, task.config.cloud.endpoint.first_traffic
    split = with_newcomer(shares(state), percent, newcomer=ours)
    shift(clients, reference.endpoint, split, patience=patience_of(task))
    return split[ours]


def _probe(manifest: ReleaseManifest, reference: EndpointReference, percent: int) -> None:
    engine = endpoint_engine(reference.config(manifest.max_new_tokens), os.environ)
    try:
        evidence = probe_deployed(
            engine,
            task_type_from_manifest(manifest.task_type),
            manifest.probes,
            reference.deployed_model_id,
            task=manifest.task,
            candidate=manifest.candidate,
            rule=manifest.probe_rule,
            tries=tries_for(percent, len(manifest.probes)),
        )
    finally:
        engine.close()
    if not evidence.passed:
        raise FinetuneError(
            "the deployed candidate does not give its recorded answers",
            where=reference.endpoint,
            found=evidence.summary,
            mend="what was live stays live; compare the serving container and its chat template with what was judged",
        )


def _put_back(clients: CloudClients, reference: EndpointReference, before: EndpointState, patience: Patience) -> None:
    """Give the traffic back to those who had it, and take the newcomer away."""
    ours = reference.deployed_model_id
    had = {name: share for name, share in shares(before).items() if share}
    if had and ours not in had:
        shift(clients, reference.endpoint, had, patience=patience)
    if ours not in before.ids:
        undeploy(clients, reference.endpoint, ours, patience=patience)
