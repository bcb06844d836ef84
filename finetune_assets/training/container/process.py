"""The trainer as the container's child: its command, its environment, its lines, and the way a notice reaches it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from finetune_assets.training.container.cluster import Cluster, launch_command, needs_launcher
from finetune_assets.training.container.pipes import CONTEXT_VARIABLE, MESSAGES_VARIABLE
from finetune_assets.training.report import Reporter
from finetune_assets.tuning.container_job import ContainerJob
from finetune_assets.tuning.local import HUB_SECRET, TRACKER_SECRETS, plan_adapter

# What the trainer must not inherit: it reports to its parent, and gets its secrets by name.
_NOT_INHERITED = frozenset({CONTEXT_VARIABLE, MESSAGES_VARIABLE, HUB_SECRET, *TRACKER_SECRETS.values()})


class StoppedError(Exception):
    """The machine is taken away before training began."""


class Stop:
    """What happens when the machine is about to be taken away (SIGTERM; a spot machine then has about 30 seconds).

    Before training it ends the container; a running trainer is told, and leaves a checkpoint; what is stored
    afterwards is stored to its end.

    Attributes:
        asked: whether the notice has come.
    """

    def __init__(self) -> None:
        self.asked = False
        self._process: subprocess.Popen[bytes] | None = None
        self._may_end = True

    def install(self) -> Callable[[], None]:
        """Take SIGTERM and SIGINT; the returned function gives them back."""
        before = {number: signal.signal(number, self._notice) for number in (signal.SIGTERM, signal.SIGINT)}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return restore

    def _notice(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.asked = True
        if self._may_end:
            raise StoppedError
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    def watch(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        """Start the trainer; from now on the notice goes to it."""
        self._may_end = False
        self._process = start()
        if self.asked:
            self._process.send_signal(signal.SIGTERM)
        return self._process


def trainer_command(
    job: ContainerJob, job_file: Path, cluster: Cluster, gpus: int, secrets: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Return the trainer's command and the variables to set for it.

    One process is started through the supervisor, as it is locally; several through `accelerate launch`.

    Args:
        job: what is trained.
        job_file: JSON as `training/adapter.py` reads it.
        cluster: the machines.
        gpus: GPUs of this machine.
        secrets: by name; the trainer gets a tracker's only, for the base is here already.
    """
    plan = plan_adapter(job_file, job.request.config, secrets)
    env = {name: value for name, value in plan.env.items() if name != HUB_SECRET} | {"HF_HUB_OFFLINE": "1"}
    command = launch_command(cluster, gpus, job_file) if needs_launcher(cluster, gpus) else plan.command
    return command, env


def run_trainer(
    command: Sequence[str], env: Mapping[str, str], environ: Mapping[str, str], stop: Stop, reporter: Reporter
) -> tuple[int, str]:
    """Run the trainer to its end and hand on what it tells.

    Args:
        command: the command.
        env: variables to set for it.
        environ: this process's environment, which it inherits without what is none of its business.
        stop: told of the process.
        reporter: takes its lines and messages.

    Returns:
        Its exit code (negative: the signal that ended it), and the reason that it gave for failing, "" for none.
    """
    inherited = {name: value for name, value in environ.items() if name not in _NOT_INHERITED}
    process = stop.watch(
        lambda: subprocess.Popen(
            list(command),
            env={**inherited, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # The notice goes to this process alone, which passes it on once.
            start_new_session=True,
        )
    )
    reasons: list[str] = []
    listener = threading.Thread(target=_listen, args=(process, reporter, reasons), name="trainer-lines", daemon=True)
    listener.start()
    code = process.wait()
    listener.join()
    return code, reasons[-1] if reasons else ""


def _listen(process: subprocess.Popen[bytes], reporter: Reporter, reasons: list[str]) -> None:
    stream = process.stdout
    if stream is None:
        return
    with stream:
        for line in stream:
            message = _message(line)
            if message is None:
                sys.stdout.buffer.write(line)
                sys.stdout.flush()
            elif message["kind"] == "log":
                reporter.info(str(message.get("line", "")))
            elif message["kind"] == "failed":
                # Told once, by the container, with its exit code.
                reasons.append(str(message.get("line", "")))
            elif message["kind"] != "finished":
                reporter.message(message)


def _message(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b"{"):
        return None
    try:
        data = json.loads(line)
    except ValueError:
        return None
    return data if isinstance(data, dict) and isinstance(data.get("kind"), str) else None
