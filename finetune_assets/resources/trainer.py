"""The trainer's door: a launch plan run as a process of its own, its progress in the run's log through Pipes."""

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.files import explain_unwritable
from finetune_assets.tuning.local import HUB_SECRET, TRACKER_SECRETS, LaunchPlan

# A plan names the secrets that its process may see; the launcher's own environment must not add to them.
_SECRETS = frozenset({HUB_SECRET, *TRACKER_SECRETS.values()})


_POLL_SECONDS = 0.05


def whole_lines(path: Path, ended: Callable[[], bool]) -> Iterator[bytes]:
    """Follow a file that another process writes, and yield each line once all of it is there.

    Args:
        path: an existing file.
        ended: True when nothing more will be written; half a line at the end is then left out.

    Yields:
        The lines, each with its line feed.
    """
    part = b""
    with path.open("rb") as stream:
        while True:
            # Asked before reading: what was written before the end is then read for certain.
            last_round = ended()
            part += stream.readline()
            if part.endswith(b"\n"):
                yield part
                part = b""
            elif last_round:
                return
            else:
                time.sleep(_POLL_SECONDS)


class MessageReader(dg.PipesMessageReader):
    """Reads one trainer's messages from a temporary file.

    Dagster's own reader takes half a line for a message when it looks while the trainer writes; it then dies with a
    traceback and all later messages are lost.
    """

    @contextmanager
    def read_messages(self, handler: Any) -> Iterator[dict[str, str]]:
        """Hand on messages as they come; yield where the trainer must write them."""
        ended = threading.Event()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "messages"
            path.touch()

            def hand_on() -> None:
                for line in whole_lines(path, ended.is_set):
                    handler.handle_message(json.loads(line))

            thread = threading.Thread(target=hand_on, name="trainer-messages", daemon=True)
            thread.start()
            try:
                yield {"path": str(path)}
            finally:
                ended.set()
                thread.join()

    def no_messages_debug_text(self) -> str:
        """Say where messages were looked for."""
        return "Looked for messages in a temporary file."

    @property
    def expected_writer_count(self) -> int:
        """One; said here because Dagster's own answer warns the user of the run that it is a preview."""
        return 1


class Trainer(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Runs training processes."""

    grace_s: float = Field(
        default=20.0, gt=0.0, description="Seconds that a training process has to stop when the run is cancelled."
    )

    def run(self, context: Any, plan: LaunchPlan, *, what: str, log: Path) -> None:
        """Run a plan and wait for it; its output goes to `log`, its progress to the run's log.

        Args:
            context: the asset's context.
            plan: the process to start.
            what: what it does, for messages.
            log: file that its output is added to.

        Raises:
            FinetuneError: when it fails; the line is the trainer's own where it said one.
        """
        with explain_unwritable(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            output = log.open("ab")
        with (
            output,
            dg.open_pipes_session(
                context=context,
                context_injector=dg.PipesTempFileContextInjector(),
                message_reader=MessageReader(),
            ) as session,
        ):
            environment = {**_without_secrets(os.environ), **plan.env, **session.get_bootstrap_env_vars()}
            process = subprocess.Popen(
                plan.command,
                cwd=plan.cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C goes to the whole terminal group; the trainer is stopped below, once, and may checkpoint.
                start_new_session=True,
            )
            code = self._wait(process)
        if code:
            said = [message["line"] for message in session.get_custom_messages() if _is_failure(message)]
            raise FinetuneError(
                f"{what} failed",
                where=str(log),
                found=said[-1] if said else f"exit code {code}",
                mend="" if said and "Mend:" in said[-1] else "see the file; the same run started again resumes",
            )

    def _wait(self, process: "subprocess.Popen[bytes]") -> int:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(self.grace_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            raise


def _is_failure(message: Any) -> bool:
    return isinstance(message, Mapping) and message.get("kind") == "failed" and "line" in message


def _without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in _SECRETS}
