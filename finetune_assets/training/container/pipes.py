"""The container's line to the Dagster run that waits for it: Pipes messages as numbered objects in Cloud Storage.

Telling must never end training: where the line cannot be opened the container goes on quietly, and what could not be
written goes with the next messages.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from dagster_pipes import (
    PipesContext,
    PipesContextData,
    PipesContextLoader,
    PipesDefaultContextLoader,
    PipesGCSContextLoader,
    PipesGCSMessageWriter,
    PipesGCSMessageWriterChannel,
    PipesMappingParamsLoader,
    PipesMessage,
    PipesParams,
    PipesParamsLoader,
)

from finetune_assets.training.report import Reporter
from finetune_assets.tuning.container_job import PipesPlace

CONTEXT_VARIABLE, MESSAGES_VARIABLE = "DAGSTER_PIPES_CONTEXT", "DAGSTER_PIPES_MESSAGES"
INTERVAL_S = 5.0
_NUMBER = re.compile(r"(\d+)\.json")
_NOBODY: PipesContextData = {
    "asset_keys": None,
    "code_version_by_asset_key": None,
    "provenance_by_asset_key": None,
    "partition_key": None,
    "partition_key_range": None,
    "partition_time_window": None,
    "run_id": "",
    "job_name": None,
    "retry_number": 0,
    "extras": {},
}


class _JobParams(PipesParamsLoader):
    def __init__(self, place: PipesPlace) -> None:
        self._place = place

    def is_dagster_pipes_process(self) -> bool:
        return True

    def load_context_params(self) -> PipesParams:
        return self._place.context

    def load_messages_params(self) -> PipesParams:
        return self._place.messages


class _Context(PipesContextLoader):
    """Reads the context from Cloud Storage or from the parameters; where it is gone, messages still flow.

    Dagster deletes the context when the run that wrote it ends, and the job may start again after that.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    @contextmanager
    def load_context(self, params: PipesParams) -> Iterator[PipesContextData]:
        from google.api_core.exceptions import NotFound

        loader: PipesContextLoader = (
            PipesGCSContextLoader(self._client) if "bucket" in params else PipesDefaultContextLoader()
        )
        with ExitStack() as stack:
            try:
                data = stack.enter_context(loader.load_context(params))
            except NotFound:
                data = _NOBODY
            yield data


class NumberedChannel(PipesGCSMessageWriterChannel):
    """Goes on numbering where an earlier start of the same job ended, and holds back what could not be written.

    Dagster's reader takes `1.json`, `2.json`, … in turn. A container that starts again and numbers from 1 would write
    over what was read already, and nobody would see it.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        prefix = f"{self._key_prefix}/" if self._key_prefix else ""
        names = [blob.name.removeprefix(prefix) for blob in self._client.list_blobs(self._bucket, prefix=prefix)]
        numbers = [int(match.group(1)) for name in names if (match := _NUMBER.fullmatch(name))]
        self._number = max(numbers, default=0)
        self._waiting = ""
        self.goes_on = False

    def write_message(self, message: PipesMessage) -> None:
        """Take a message; the closing one is left out when the job will start again, for readers stop at it."""
        if not (self.goes_on and message["method"] == "closed"):
            super().write_message(message)

    def upload_messages_chunk(self, payload: Any, index: int) -> None:
        """Write the next numbered object with these messages and those that wait."""
        del index
        # A chunk has no line feed at its end.
        self._waiting = "\n".join(filter(None, (self._waiting, payload.read())))
        self.send_waiting()

    def send_waiting(self) -> None:
        """Write what waits, if anything does; on a failure it waits on."""
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError
        from requests.exceptions import RequestException

        if not self._waiting:
            return
        try:
            self._send()
        except (GoogleAPICallError, RetryError, GoogleAuthError, RequestException) as error:
            _complain(f"messages wait: {type(error).__name__}")
        else:
            self._waiting = ""

    def _send(self) -> None:
        """Write what waits under the next free number."""
        from google.api_core.exceptions import PreconditionFailed

        prefix = f"{self._key_prefix}/" if self._key_prefix else ""
        while True:
            blob = self._gcp_bucket.blob(f"{prefix}{self._number + 1}.json")
            try:
                blob.upload_from_string(self._waiting, if_generation_match=0)
                is_ours = True
            except PreconditionFailed:
                # Ours with the answer lost, or an earlier start of this job still speaks.
                is_ours = blob.download_as_bytes() == self._waiting.encode()
            self._number += 1
            if is_ours:
                return


class NumberedWriter(PipesGCSMessageWriter):
    """Writes messages through a `NumberedChannel`.

    Attributes:
        channel: the open channel; None before.
    """

    channel: NumberedChannel | None = None

    def make_channel(self, params: PipesParams) -> NumberedChannel:
        """Open the channel to the place that the parameters name."""
        self.channel = NumberedChannel(
            self._client, str(params["bucket"]), params.get("key_prefix"), interval=self.interval
        )
        return self.channel


class Line:
    """What the container tells, and to whom.

    Attributes:
        reporter: takes lines for people and messages for programs.
        goes_on: set when this start ends but the job does not, so that the reader waits for the next start.
    """

    def __init__(self, reporter: Reporter, writer: NumberedWriter | None = None) -> None:
        self.reporter = reporter
        self._writer = writer

    def will_start_again(self) -> None:
        """Leave the reader's session open: this machine is taken away, and the job goes on elsewhere."""
        if self._writer is not None and self._writer.channel is not None:
            self._writer.channel.goes_on = True


@contextmanager
def open_line(place: PipesPlace | None, environ: Mapping[str, str], client: Any) -> Iterator[Line]:
    """Open the line that the job, or else the environment, names; without one, report to stdout.

    Args:
        place: the job's own parameters.
        environ: where `DAGSTER_PIPES_CONTEXT` and `DAGSTER_PIPES_MESSAGES` are looked up.
        client: a `google.cloud.storage.Client`.
    """
    context, writer = _open(place, environ, client)
    if context is None or writer is None:
        yield Line(_to_stdout())
        return
    try:
        yield Line(Reporter(info=context.log.info, message=_forward(context)), writer)
    finally:
        context.close()
        if writer.channel is not None:
            writer.channel.send_waiting()


def _open(
    place: PipesPlace | None, environ: Mapping[str, str], client: Any
) -> tuple[PipesContext | None, NumberedWriter | None]:
    from dagster_pipes import DagsterPipesError
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    if place is not None:
        params: PipesParamsLoader = _JobParams(place)
    elif CONTEXT_VARIABLE in environ and MESSAGES_VARIABLE in environ:
        params = PipesMappingParamsLoader(environ)
    else:
        return None, None
    writer = NumberedWriter(client, interval=INTERVAL_S)
    try:
        return PipesContext(params, _Context(client), writer), writer
    except (GoogleAPICallError, RetryError, GoogleAuthError, RequestException, DagsterPipesError, KeyError) as error:
        _complain(f"the Dagster run cannot be told: {type(error).__name__}; going on quietly")
        return None, None


def _forward(context: PipesContext) -> Any:
    def forward(data: Mapping[str, Any]) -> None:
        context.report_custom_message(dict(data))

    return forward


def _to_stdout() -> Reporter:
    def write(data: Mapping[str, Any]) -> None:
        sys.stdout.write(json.dumps(data) + "\n")
        sys.stdout.flush()

    return Reporter(info=lambda line: write({"kind": "log", "line": line}), message=write)


def _complain(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
