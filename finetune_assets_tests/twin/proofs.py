"""What is proven of each step of the flow, asked of the stand-ins and of the home, never of the program's own words.

Each function returns one sentence with its figures, and raises `NotProvenError` where a figure is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from finetune_assets.datasets.build import read_examples
from finetune_assets.evaluation.engine import Engine
from finetune_assets.records.example import Message
from finetune_assets.releases.manifest import EndpointReference, ReleaseManifest, load_manifest
from finetune_assets.releases.registry import LiveRelease, Registry
from finetune_assets.serving.cloud.endpoints import list_endpoints, show
from finetune_assets.serving.cloud.model_registry import ModelVersion, get_version, list_versions, model_name
from finetune_assets.serving.engines.endpoints import endpoint_engine
from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.files import read_json
from finetune_assets.storage.home import Home
from finetune_assets.storage.intents import Intent, list_intents
from finetune_assets.storage.stages import find_stage
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.config import CloudConfig
from finetune_assets_tests.twin.observer import Observer
from finetune_assets_tests.twin.world import BUCKET, PROJECT_ID, World


class NotProvenError(Exception):
    """A step did not do what it was to do."""


def require(holds: object, problem: str) -> None:
    """Stop where a figure is wrong.

    Raises:
        NotProvenError: with the problem.
    """
    if not holds:
        raise NotProvenError(problem)


@dataclass(frozen=True)
class Place:
    """One task in one home, beside the stand-ins.

    Attributes:
        world: the stand-ins.
        home: the home's folder.
        task: the task.
    """

    world: World
    home: Path
    task: str

    @cached_property
    def database(self) -> Database:
        return Database.open(Home(self.home).database_url)

    @cached_property
    def clients(self) -> CloudClients:
        config = CloudConfig(project=PROJECT_ID, bucket=f"gs://{BUCKET}")
        return CloudClients(config, self.world.address())

    def result(self, stage: str) -> Artifact:
        found = find_stage(self.database, self.task, "main", stage, "")
        require(found is not None, f"{stage} has no result")
        assert found is not None
        return ArtifactStore(Home(self.home).artifacts).open(found.kind, found.key)

    def intents(self) -> list[Intent]:
        return [intent for intent in list_intents(self.database, self.task) if intent.is_paid]

    def live(self) -> LiveRelease:
        live = Registry(self.database).live(self.task)
        require(live is not None, "nothing is live")
        assert live is not None
        return live

    def manifest(self) -> ReleaseManifest:
        return load_manifest(ArtifactStore(Home(self.home).artifacts), self.live().artifact_key)

    def reference(self) -> EndpointReference:
        found = self.manifest().endpoint
        require(found is not None, "the release runs here, not in the cloud")
        assert found is not None
        return found

    def engine(self) -> Engine:
        return endpoint_engine(self.reference().config(512), self.world.address())

    def questions(self) -> list[Sequence[Message]]:
        rows = read_examples(self.result("validated_splits").path, "test")
        return [example.messages for example in rows]

    def observer(self) -> Observer:
        reference = self.reference()
        return Observer(self.clients, reference.endpoint, self.engine(), self.questions())


def short_of(name: str) -> str:
    """Return the last part of a resource name."""
    return name.rsplit("/", 1)[-1]


def upload(place: Place) -> str:
    """Equal bytes here and there, and no test row in the bucket."""
    artifact = place.result("uploaded_dataset")
    bucket = place.world.gcs.client().bucket(BUCKET)
    blobs = {blob.name: blob for blob in bucket.list_blobs()}
    count = size = 0
    for name in artifact.manifest["files"]:
        (match,) = [key for key in blobs if key.endswith(f"{artifact.key}/{name}")]
        data = blobs[match].download_as_bytes()
        require(data == artifact.file(name).read_bytes(), f"{name} differs in the bucket")
        count, size = count + 1, size + len(data)
    texts = [blob.download_as_bytes() for blob in blobs.values() if blob.name.endswith(".jsonl")]
    asked = [messages[-1]["content"] for messages in place.questions()]
    leaked = [text for text in asked if any(text.encode() in data for data in texts)]
    require(not leaked, f"{len(leaked)} test questions lie in the bucket")
    return f"{count} files, {size:,} bytes: equal here and in gs://{BUCKET}; none of {len(asked)} test questions there"


def _job(place: Place, name: str) -> dict[str, Any]:
    answer = httpx.get(f"{place.world.vertex.url}/v1beta1/{name}", headers={"Authorization": "Bearer test"}, timeout=30)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def tuned(place: Place, epochs: float) -> str:
    """One job for each variant, submitted once, side by side, and the one that our database names."""
    intents = [item for item in place.intents() if item.request.get("settings", {}).get("epochs") == epochs]
    require(len(intents) == 3, f"{len(intents)} intents of {epochs:g} epochs, 3 expected")
    witness = Counter(job["labels"]["run_key"] for job in place.world.vertex.jobs() if job["kind"] == "TuningJob")
    spans = []
    for intent in intents:
        require(intent.state == "SUCCEEDED", f"{intent.variant} is {intent.state}")
        require(witness[intent.run_key] == 1, f"{intent.variant} was submitted {witness[intent.run_key]} times")
        job = _job(place, intent.handle)
        spans.append((_when(job["startTime"]), _when(job["endTime"])))
    together = max(start for start, _ in spans) < min(end for _, end in spans)
    require(together, "the jobs were not under way at the same time")
    tokens = sum(intent.billable_tokens or 0 for intent in intents)
    cost = sum(intent.actual_cost or 0 for intent in intents) / 1e6
    thought = sum(intent.estimate_mid or 0 for intent in intents) / 1e6
    names = ", ".join(sorted(intent.variant for intent in intents))
    return f"{names}: 1 job each, side by side; {tokens:,} tokens, ${cost:.2f} by list (${thought:.2f} estimated)"


def _when(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def registered(place: Place, count: int) -> str:
    """So many versions, each with its own weights, dataset and run."""
    versions = list_versions(place.clients, model_name(place.clients, place.task))
    require(len(versions) == count, f"{len(versions)} versions, {count} expected")
    weights = {version.artifact_uri for version in versions}
    require(len(weights) == count, "two versions hold the same weights")
    for version in versions:
        missing = {"dataset", "run_key", "candidate"} - set(version.labels)
        require(not missing, f"version {version.version} has no label {', '.join(sorted(missing))}")
    return f"{count} versions of model {short_of(versions[0].model)}, each with weights, dataset, run and candidate"


def judged(place: Place) -> str:
    """The verdict, and by how many jobs the questions were asked."""
    report = read_json(place.result("validation_report").file("report.json"))
    verdict, scores = report["verdict"]["verdict"], report["scores"]["candidate"]
    require(verdict == "PASS", f"the verdict is {verdict}")
    variant = place.result("validation_report").manifest.get("variant", "")
    batches = [job for job in place.world.vertex.jobs() if job["kind"] == "BatchPredictionJob"]
    return f"verdict {verdict}, variant {variant}: {scores['rows']} test rows by batch prediction ({len(batches)} jobs)"


def released(place: Place, version: int) -> str:
    """What is live is what is deployed, alone and with all the traffic, and what the registry calls live."""
    live, reference = place.live(), place.reference()
    require(live.version == version, f"version {live.version} is live, {version} expected")
    state = show(place.clients, reference.endpoint)
    split = {item.id: item.traffic for item in state.deployed}
    require(split == {reference.deployed_model_id: 100}, f"the endpoint has {split}")
    model = _live_version(place, reference)
    aliases = ", ".join(alias for alias in model.aliases if not alias.startswith("c-"))
    gate = model.labels.get("gate", "")
    require(gate == "pass", f"label gate of version {model.version} is {gate or 'missing'}")
    return (
        f"version {version} live: {short_of(model.model)}@{model.version} ({aliases}; gate {gate}) "
        f"as {reference.deployed_model_id} with 100 % of endpoint {short_of(reference.endpoint)}"
    )


def _live_version(place: Place, reference: EndpointReference) -> ModelVersion:
    found = get_version(place.clients, reference.model)
    require("live" in found.aliases, f"{short_of(reference.model)} has aliases {found.aliases}")
    return found


def shifted(place: Place, seen: Observer, old: str, new: str) -> str:
    """The newcomer began with 10 %, then had all, then the other left; whoever asked meanwhile was answered."""
    first, shared, alone = {old: 100}, {old: 90, new: 10}, {new: 100}
    require(seen.splits and seen.splits[0] == first, f"it began with {seen.splits[:1]}")
    require(shared in seen.splits, f"nobody saw a first share of 10 %: {seen.splits}")
    require(seen.splits[-1] == alone, f"it ended with {seen.splits[-1]}")
    order = [split.get(new, 0) for split in seen.splits]
    require(all(before <= after for before, after in pairwise(order)), f"the newcomer's share went {order}")
    require(not seen.problems, f"{len(seen.problems)} questions failed meanwhile: {seen.problems[:1]}")
    told = " → ".join(_split_words(split, old) for split in seen.splits)
    asked = sum(seen.answers.values())
    return f"{told}; {asked} questions meanwhile: {seen.answers[old]} old, {seen.answers[new]} new, 0 lost"


def _split_words(split: dict[str, int], old: str) -> str:
    words = [f"{'old' if name == old else 'new'} {share} %" for name, share in split.items()]
    return " + ".join(sorted(words, reverse=True))


def predicted(place: Place, count: int) -> str:
    """So many answers, and whose they are."""
    engine, wanted = place.engine(), place.reference().deployed_model_id
    answers = engine.complete(place.questions()[:count])
    failed = [answer.problem for answer in answers if not answer.ok]
    require(not failed, f"{len(failed)} of {count} questions failed: {failed[:1]}")
    who = Counter(answer.served_by for answer in answers)
    require(who == {wanted: count}, f"answered by {dict(who)}")
    return f"{count} of {count} answered, all by {wanted}"


def empty(place: Place) -> str:
    """Nothing deployed, no endpoint of ours left: nothing costs."""
    left = list_endpoints(place.clients)
    require(not left, f"{len(left)} endpoints are left")
    return "no endpoint of ours is left, nothing is deployed: nothing costs on"
