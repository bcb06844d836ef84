"""The Model Registry: one registered model a task, one version of it for each candidate.

The service gives versions their numbers and takes the same upload twice, so that a version is known by the candidate
that it carries: it is looked for before anything is uploaded and again after every unclear answer. Tuned Gemini models
are registered by the service itself; they only get labels and aliases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from finetune_assets.serving.cloud import operations
from finetune_assets.serving.cloud.calls import UNCLEAR, Patience, late, once, read
from finetune_assets.serving.cloud.containers import Container
from finetune_assets.serving.cloud.operations import NoteOperation, forget
from finetune_assets.tuning.backends.protocol import OWNER, OWNER_LABEL
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.errors import CloudError, MissingError, RejectedError

CANDIDATE_LABEL = "candidate"
_LABEL_DIGITS = 40
_ALIAS_DIGITS = 12
_LONGEST_ID = 63


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model.

    Attributes:
        model: `projects/P/locations/L/models/ID`, without a version.
        version: its number, as text.
        candidate: the candidate that it holds (at most 40 digits of its id), "" where it says none.
        aliases: its aliases; an alias stands at one version of a model only.
        labels: its labels.
        artifact_uri: where its files lie, "" where the service keeps them.
        display_name: what the console shows.
    """

    model: str
    version: str
    candidate: str = ""
    aliases: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    artifact_uri: str = ""
    display_name: str = ""

    @property
    def name(self) -> str:
        """The version's own resource name, `…/models/ID@VERSION`."""
        return f"{self.model}@{self.version}"


def model_id_of(task: str) -> str:
    """Return the id of a task's registered model: at most 63 of a-z, 0-9, _ and -, beginning with a letter."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in task.lower())
    return (plain if plain[:1].isalpha() else f"task-{plain}")[:_LONGEST_ID].rstrip("-")


def model_name(clients: CloudClients, task: str) -> str:
    """Return the resource name of a task's registered model."""
    return f"{clients.parent}/models/{model_id_of(task)}"


def register_version(
    clients: CloudClients,
    *,
    model_id: str,
    artifact_uri: str,
    container: Container,
    display_name: str,
    candidate: str,
    labels: Mapping[str, str] | None = None,
    aliases: Sequence[str] = (),
    operation: str = "",
    on_operation: NoteOperation = forget,
    patience: Patience | None = None,
) -> ModelVersion:
    """Register a candidate's weights as a version, at most once.

    Args:
        clients: Google's clients at the place that serves.
        model_id: see `model_id_of`.
        artifact_uri: gs:// folder of the weights.
        container: what serves them.
        display_name: what the console shows.
        candidate: the candidate's id, by which the version is known again.
        labels: further labels, such as dataset digest, run and gate.
        aliases: aliases that are moved to the version.
        operation: an operation that an earlier call was told, to attach to.
        on_operation: told the operation's name before it is waited for.
        patience: how long and how often.

    Returns:
        The version; the one that is there where the candidate was registered before.

    Raises:
        JobFailedError: when the upload failed.
        CloudError: when the service refuses, or gives no clear answer for too long.
    """
    patience = patience or Patience()
    client = clients.gapic("ModelServiceClient")
    model = f"{clients.parent}/models/{model_id}"
    if operation:
        operations.settle(client, operation, patience)
    upload = _Upload(clients, client, model, candidate, patience, on_operation)
    found = upload.ensure(
        artifact_uri=artifact_uri,
        container_spec=container.spec(),
        display_name=display_name,
        labels={**clients.config.labels, **(labels or {}), OWNER_LABEL: OWNER, CANDIDATE_LABEL: _label(candidate)},
        version_description=_described(candidate),
        # An upload without an alias may become the default version, which a candidate must not be.
        version_aliases=[_own_alias(candidate)],
    )
    missing = [alias for alias in (_own_alias(candidate), *aliases) if alias not in found.aliases]
    return set_alias(clients, found, missing, patience=patience) if missing else found


class _Upload:
    """Find, upload, wait, and look again."""

    def __init__(
        self,
        clients: CloudClients,
        client: Any,
        model: str,
        candidate: str,
        patience: Patience,
        on_operation: NoteOperation,
    ) -> None:
        self._clients = clients
        self._client = client
        self._model = model
        self._candidate = candidate
        self._patience = patience
        self._on_operation = on_operation

    def ensure(self, **fields: Any) -> ModelVersion:
        """Return the candidate's version, uploaded when it is not there."""
        turns = self._patience.turns()
        while True:
            versions = list_versions(self._clients, self._model, patience=self._patience)
            mine = [item for item in versions if item.candidate == _label(self._candidate)]
            if mine:
                return self._keep_oldest(mine)
            problem: CloudError = late("a registered version does not show", self._model, "no version of the candidate")
            try:
                operation = self._ask(is_first=not versions, **fields)
                self._on_operation(operation)
                operations.wait(self._client, operation, self._patience)
                if self._shows():
                    continue
            except UNCLEAR as error:
                problem = error
            turns.rest(problem, least_s=self._patience.visibility_s)

    def _shows(self) -> bool:
        return find_version(self._clients, self._model, candidate=self._candidate, patience=self._patience) is not None

    def _ask(self, *, is_first: bool, **fields: Any) -> str:
        from google.cloud import aiplatform_v1

        # The first upload makes the model: its id is ours, so that two of them cannot both succeed.
        place = {"model_id": self._model.rsplit("/", 1)[1]} if is_first else {"parent_model": self._model}
        request = aiplatform_v1.UploadModelRequest(
            parent=self._clients.parent, model=aiplatform_v1.Model(**fields), **place
        )
        upload = once(
            "the model was not registered",
            self._model,
            lambda: self._client.upload_model(request, retry=None, timeout=60.0),
        )
        return str(upload.operation.name)

    def _keep_oldest(self, versions: Sequence[ModelVersion]) -> ModelVersion:
        """Return the first version of the candidate; later ones come of answers that were lost and are deleted."""
        oldest, *extras = sorted(versions, key=lambda item: int(item.version))
        for extra in extras:
            try:
                delete_version(self._clients, extra, patience=self._patience)
            except RejectedError:
                continue  # it is deployed, by whomever: it costs nothing where it is
        return oldest


def list_versions(clients: CloudClients, model: str, *, patience: Patience | None = None) -> list[ModelVersion]:
    """Return the versions of a model, oldest first; none when there is no such model.

    Args:
        clients: Google's clients.
        model: `projects/P/locations/L/models/ID`, with or without a version.
        patience: how long and how often.
    """
    client = clients.gapic("ModelServiceClient")
    name = model.split("@")[0]

    def ask() -> list[ModelVersion]:
        pages = client.list_model_versions({"name": name, "page_size": 100}, timeout=60.0)
        return [_version(item, name) for item in pages]

    try:
        found = read("a model's versions cannot be listed", name, ask, patience or Patience())
    except MissingError:
        return []
    return sorted(found, key=lambda item: int(item.version))


def find_version(
    clients: CloudClients, model: str, *, candidate: str = "", alias: str = "", patience: Patience | None = None
) -> ModelVersion | None:
    """Return the version that holds a candidate, or that an alias stands at; None when there is none."""
    for item in list_versions(clients, model, patience=patience):
        if (candidate and item.candidate == _label(candidate)) or (alias and alias in item.aliases):
            return item
    return None


def set_alias(
    clients: CloudClients, version: ModelVersion, aliases: Iterable[str], *, patience: Patience | None = None
) -> ModelVersion:
    """Move aliases to a version; the service takes them from whichever had them. Doing it twice changes nothing.

    Returns:
        The version as it stands afterwards.
    """
    patience = patience or Patience()
    client = clients.gapic("ModelServiceClient")
    request = {"name": version.name, "version_aliases": list(aliases)}
    found = read(
        "an alias was not moved", version.name, lambda: client.merge_version_aliases(request, timeout=60.0), patience
    )
    return _version(found, version.model)


def add_labels(
    clients: CloudClients, version: ModelVersion, labels: Mapping[str, str], *, patience: Patience | None = None
) -> ModelVersion:
    """Add labels to a version that the service registered itself, such as a tuned Gemini model's.

    Returns:
        The version as it stands afterwards.
    """
    patience = patience or Patience()
    client = clients.gapic("ModelServiceClient")
    request = {
        "model": {"name": version.name, "labels": {**version.labels, **labels}},
        "update_mask": {"paths": ["labels"]},
    }
    found = read(
        "labels were not added",
        version.name,
        lambda: client.update_model(request, timeout=60.0),
        patience,
    )
    return _version(found, version.model, number=version.version)


def get_version(clients: CloudClients, name: str, *, patience: Patience | None = None) -> ModelVersion:
    """Return one version by its name `…/models/ID@VERSION` (or `@alias`).

    Raises:
        MissingError: when it is not there.
    """
    client = clients.gapic("ModelServiceClient")
    found = read(
        "a model cannot be read", name, lambda: client.get_model({"name": name}, timeout=60.0), patience or Patience()
    )
    return _version(found, name.split("@")[0])


def delete_version(clients: CloudClients, version: ModelVersion, *, patience: Patience | None = None) -> None:
    """Delete a version; the last one goes with its model. One that is not there is fine.

    Raises:
        RejectedError: when it is deployed somewhere.
    """
    patience = patience or Patience()
    client = clients.gapic("ModelServiceClient")
    others = [item for item in list_versions(clients, version.model, patience=patience) if item.name != version.name]
    if others and "default" in version.aliases:
        set_alias(clients, others[-1], ["default"], patience=patience)

    def ask() -> str:
        if others:
            return str(client.delete_model_version({"name": version.name}, timeout=60.0).operation.name)
        return str(client.delete_model({"name": version.model}, timeout=60.0).operation.name)

    operations.delete(client, "a model version was not deleted", version.name, ask, patience)


def _label(candidate: str) -> str:
    return candidate[:_LABEL_DIGITS]


def _own_alias(candidate: str) -> str:
    return f"c-{candidate[:_ALIAS_DIGITS]}"


def _described(candidate: str) -> str:
    return f"candidate {_label(candidate)}"


def _version(model: Any, name: str, *, number: str = "") -> ModelVersion:
    labels = dict(model.labels)
    # The service merges the model's labels into each version's; the description is the version's own.
    described = str(model.version_description)
    candidate = described.removeprefix("candidate ") if described.startswith("candidate ") else ""
    return ModelVersion(
        model=name.split("@")[0],
        version=str(model.version_id) or number,
        candidate=candidate or labels.get(CANDIDATE_LABEL, ""),
        aliases=tuple(sorted(model.version_aliases)),
        labels=labels,
        artifact_uri=str(model.artifact_uri),
        display_name=str(model.display_name),
    )
