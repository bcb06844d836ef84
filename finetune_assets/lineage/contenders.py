"""Who is judged: the candidate, and what it must beat."""

from dataclasses import dataclass, replace

from finetune_assets.datasets.build import read_examples
from finetune_assets.evaluation.baselines import majority_answers
from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.lineage.bases import Base, find_base
from finetune_assets.lineage.cloud.remote_models import is_remote
from finetune_assets.lineage.runtime import TaskRun, adapter_stage
from finetune_assets.lineage.validated_splits import STAGE as SPLITS
from finetune_assets.records.digests import digest_of, short
from finetune_assets.releases.manifest import EndpointReference, base_folder, load_manifest
from finetune_assets.releases.registry import LiveRelease, Registry, Release
from finetune_assets.storage.artifacts import Artifact

BASE = "base"


@dataclass(frozen=True)
class Contender:
    """A model that answers the test rows.

    Attributes:
        name: what a person calls it: `untuned base`, `live version 3`, `candidate`.
        candidate: the candidate's id, "" for the untuned base.
        base: the base model.
        adapter: the adapter's artifact, None for the untuned base.
        is_live: it is a release that was or is live.
        variant: the tuning variant that made it, "" where there are none.
        endpoint: where a release is asked whose weights are in the cloud; None for all others.
        stand_in: who answers in its place; None where it answers itself.
    """

    name: str
    candidate: str
    base: Base
    adapter: Artifact | None
    is_live: bool = False
    variant: str = ""
    endpoint: EndpointReference | None = None
    stand_in: EndpointConfig | str | None = None

    @property
    def is_remote(self) -> bool:
        """Whether a provider keeps the model."""
        return is_remote(self.base)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is asked by other means than by loading it here."""
        return self.is_remote or self.stand_in is not None

    @property
    def shown(self) -> str:
        """The name under which a report speaks of it."""
        return short(self.candidate) if self.name == "candidate" else self.name


@dataclass(frozen=True)
class Outsider:
    """A model behind an endpoint, which YAML names under `evaluation.contenders`; it is compared and never released.

    Attributes:
        name: its name in YAML.
        endpoint: where and how it is asked.
    """

    name: str
    endpoint: EndpointConfig

    @property
    def shown(self) -> str:
        """The name under which a report speaks of it."""
        return self.name


def candidate_id(base: Base, adapter: Artifact) -> str:
    """Return the identity of a candidate: base, adapter and template together (64 hex digits)."""
    return digest_of(
        {
            "base": base.digest,
            "adapter": adapter.manifest["adapter_digest"],
            "template": adapter.manifest["template_hash"],
        }
    )


def find_candidate(task: TaskRun, variant: str = "") -> Contender:
    """Return the candidate: the task's current adapter on its base, or one tuning variant's."""
    base = find_base(task.for_variant(variant))
    adapter = task.result(adapter_stage(variant))
    return Contender("candidate", candidate_id(base, adapter), base, adapter, variant=variant)


def find_baseline(task: TaskRun, candidate: Contender) -> Contender:
    """Return what the candidate must beat: the live release, or the untuned base where none is live.

    A candidate that is itself live is judged against what it replaced, so that a report asked for again says the
    same as the first time.
    """
    registry = Registry(task.database)
    release = _release_to_beat(registry, task.task, candidate.candidate)
    if release is None:
        return _untuned(task, candidate)
    return released(task, release)


def _untuned(task: TaskRun, candidate: Contender) -> Contender:
    """Return the untuned base; where nobody serves it, what YAML names for it, else the commonest answer.

    The weights of an open model are asked after a deployment only, which a baseline is not worth; a contender named
    `base` under `evaluation.contenders` says where somebody serves it already.
    """
    own = Contender("untuned base", "", candidate.base, None, variant=candidate.variant)
    named = task.config.evaluation.contenders.get(BASE)
    if named is not None:
        return replace(own, stand_in=named)
    if not candidate.is_remote or task.for_variant(candidate.variant).config.tuning.backend == "gemini":
        return own
    train = list(read_examples(task.result(SPLITS).path, "train"))
    return replace(own, name="commonest answer", stand_in=majority_answers(train, train[:1])[0])


def released(task: TaskRun, release: Release, name: str = "") -> Contender:
    """Return a release as a contender, its weights and base as its manifest names them."""
    manifest = load_manifest(task.artifacts, release.artifact_key)
    shown = name or f"live version {release.version}"
    if manifest.endpoint is not None:
        kept = Base(manifest.endpoint.base_model, None, "", manifest.chat_template)
        return Contender(shown, release.candidate, kept, None, is_live=True, endpoint=manifest.endpoint)
    of_base, of_adapter = manifest.local()
    adapter = task.artifacts.open(of_adapter.kind, of_adapter.key)
    base = Base(
        name=of_base.name,
        place=base_folder(task.artifacts, manifest),
        digest=of_base.digest,
        chat_template=manifest.chat_template,
    )
    return Contender(shown, release.candidate, base, adapter, is_live=True)


def _release_to_beat(registry: Registry, task: str, candidate: str) -> LiveRelease | None:
    live = registry.live(task)
    if live is None or live.candidate != candidate:
        return live
    return registry.before(task, candidate)
