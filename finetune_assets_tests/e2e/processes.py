"""Finding, watching and killing the processes of a run."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

TRAINER = "finetune_assets.training"


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Wait until something holds; return how many seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"{what}: not within {seconds:g} s"
        time.sleep(0.05)
    return time.monotonic() - began


def trainers(run: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the training processes below a running `finetune`."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(run.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if any(part.startswith(TRAINER) for part in process.cmdline()):
                    found.append(process)
    return found


def gone(processes: list[psutil.Process]) -> bool:
    """Return True when none of them runs any more."""
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def kill_everything(run: subprocess.Popen[str]) -> None:
    """Kill a run and all that it has started at one moment, as a power cut would."""
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        family.append(psutil.Process(run.pid))
        family += family[0].children(recursive=True)
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    run.wait(30)


def checkpoints(home: Path) -> set[str]:
    """Return the names of the sealed checkpoints of the adapter in the making."""
    return {str(path.parent) for path in (home / "work" / "tuning").glob("*/checkpoints/*/COMPLETE")}
