"""BatchEngine: an `evaluation.engine.Engine` that asks all questions in one batch prediction job.

Half the price of asking online, and no endpoint to pay for; it takes minutes to hours. A run that was killed finds its
job again by what it asks whom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.evaluation.engine import Completion
from finetune_assets.records.digests import digest_of, digest_of_text
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message
from finetune_assets.serving.cloud.batch_files import (
    MISSING_ROW,
    ContainerLines,
    GeminiLines,
    Lines,
    question_key,
    questions_file,
    read_answers,
)
from finetune_assets.serving.cloud.batch_jobs import (
    FAILED,
    BatchJob,
    BatchRequest,
    BatchService,
    ContainerBatches,
    GeminiBatches,
    cancel,
    find_jobs,
    labels_of,
    submit,
    watch,
)
from finetune_assets.serving.cloud.calls import Patience
from finetune_assets.storage.gcs.calls import GcsUri
from finetune_assets.storage.gcs.calls import Patience as StoragePatience
from finetune_assets.storage.gcs.objects import list_objects, read_bytes
from finetune_assets.storage.gcs.uploads import Uploader
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.config import EndpointMachines
from finetune_assets.tuning.cloud.errors import JobFailedError

MOST_JOBS = 3
"""Jobs for the same questions: failed ones are followed by another when the run is started again, up to this many."""

_DAY_S = 86_400.0


class BatchEngine:
    """Answers all conversations of a call by one batch job. Give it all at once: `collect_answers(batch_size=None)`.

    Args:
        clients: Google's clients at the model's place, with a storage client.
        config: model and decoding. Its `kind` says which lines: `vertex` for Gemini and tuned Gemini, whose `model` is
            a publisher's name or `projects/…/models/ID`, `vertex_endpoint` for weights of one's own, whose `model` is
            the registered version.
        folder: gs:// folder for questions and answers; they are texts of people: give it a lifecycle.
        machines: machines for weights of one's own.
        chat_template: renders their prompts; Jinja.
        special_tokens: the template's tokens (`eos_token`, …).
        labels: labels of the job.
        on_job: told the job's name once it is there.
        patience: how often the job is looked at and for how long.
        storage_patience: how long Cloud Storage is asked again.
    """

    def __init__(
        self,
        clients: CloudClients,
        config: EndpointConfig,
        *,
        folder: str,
        machines: EndpointMachines | None = None,
        chat_template: str = "",
        special_tokens: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        on_job: Callable[[str], object] | None = None,
        patience: Patience | None = None,
        storage_patience: StoragePatience | None = None,
    ) -> None:
        self._clients = clients
        self._config = config
        self._folder = GcsUri.parse(folder)
        self._machines = machines or EndpointMachines()
        self._template = chat_template
        self._tokens = dict(special_tokens or {})
        self._labels = labels_of(clients, labels or {})
        self._on_job = on_job
        self._patience = patience or Patience(first_s=15.0, deadline_s=_DAY_S)
        self._storage = storage_patience or StoragePatience()
        self._asked_for = ""
        self._under_way: BatchJob | None = None
        if config.kind == "vertex_endpoint" and not chat_template:
            raise FinetuneError(
                "batch prediction needs the chat template of the weights",
                where=config.model,
                expected="a chat template: the container takes text only in a batch",
                mend="ask it online (`cloud.inference: online`), or export the template with the weights",
            )

    @property
    def identity(self) -> dict[str, Any]:
        """Model, place and decoding. The way of asking decides nothing, and yet it is another than online."""
        template = digest_of_text(self._template) if self._template else ""
        return {
            "engine": "vertex_batch",
            "model": self._config.model,
            "project": self._clients.project,
            "location": self._clients.location,
            "chat_template": template,
            "context_length": self._config.context_length,
            **self._config.decoding(),
        }

    @property
    def context_length(self) -> int | None:
        """Longest conversation in tokens, as the configuration says; None when unknown."""
        return self._config.context_length

    def close(self) -> None:
        """Let go; a job that is under way goes on and is found again."""

    def cancel(self) -> None:
        """Ask for the end of the job that is under way, for a user who does not want it any more."""
        if not self._asked_for:
            return
        service = self._service()
        # Whoever is stopped between the request and its answer does not know the job's name yet.
        jobs = [self._under_way] if self._under_way else find_jobs(service, self._asked_for, self._patience)
        for job in jobs:
            cancel(service, job.name)

    def complete(self, batch: Sequence[Sequence[Message]]) -> list[Completion]:
        """Answer conversations by one job; see `evaluation.engine.Engine`.

        A question without an answer has one of these problems: `missing_row`, `rate_limited`, `prompt_too_long`,
        `timeout`, `filtered`, `refused`, `provider_error`, `bad_answer`.

        Raises:
            JobFailedError: when the job failed as a whole; the next run submits another, up to three in all.
            CloudError: when the service refuses, or the job is not done in time; it is found again.
            StorageError: when Cloud Storage cannot be written or read.
        """
        if not batch:
            return []
        keys = [question_key(messages) for messages in batch]
        questions = dict(zip(keys, batch, strict=True))
        lines = self._lines()
        content = questions_file(questions, lines)
        key = digest_of({"who": self.identity, "questions": digest_of_text(content.decode())})[:40]
        job, target = self._job(key, content)
        found = read_answers(self._outputs(target), lines)
        missing = Completion.failed(MISSING_ROW)
        return [replace(found.get(name, missing), latency_s=job.seconds) for name in keys]

    def _job(self, key: str, content: bytes) -> tuple[BatchJob, GcsUri]:
        """Return the finished job and the folder of its answers."""
        service = self._service()
        for attempt in range(1, MOST_JOBS + 1):
            name = f"answers-{key}-{attempt}"
            there = find_jobs(service, name, self._patience)
            if there and all(job.state in FAILED for job in there):
                continue  # it failed before this run: that it is asked again is somebody's decision
            target = self._folder.child("answers", key, str(attempt))
            source = self._folder.child("questions", f"{key}.jsonl")
            Uploader(self._clients.storage, patience=self._storage).put_once(source, content)
            request = BatchRequest(name, self._config.model, str(source), str(target), self._labels)
            self._asked_for, self._under_way = name, None
            self._under_way = submit(service, request, self._patience)
            if self._on_job is not None:
                self._on_job(self._under_way.name)
            return watch(service, self._under_way, self._patience), target
        raise JobFailedError(
            "batch prediction failed again and again",
            where=self._config.model,
            found=f"{MOST_JOBS} jobs for the same questions",
            mend="read the jobs' errors in the console; ask online (`cloud.inference: online`) meanwhile",
        )

    def _outputs(self, target: GcsUri) -> list[str]:
        found = []
        for item in list_objects(self._clients.storage, target, self._storage):
            content = read_bytes(self._clients.storage, item.uri, self._storage)
            if content is not None:
                found.append(content[0].decode(errors="replace"))
        return found

    def _service(self) -> BatchService:
        if self._config.kind == "vertex":
            return GeminiBatches(self._clients)
        return ContainerBatches(self._clients, self._machines)

    def _lines(self) -> Lines:
        if self._config.kind == "vertex":
            return GeminiLines(self._config)
        return ContainerLines(self._config, self._template, self._tokens)
