"""The Dagster instance of a home: where it lives, and which of its runs are dead.

CLI, UI and daemon share one instance. A run that the CLI executes has no launcher that could watch it, so it carries
the pid, start time and host of its process; whoever starts next reports those runs failed whose process is gone.
"""

import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from sqlalchemy.exc import DBAPIError

from finetune_assets.lineage.event_log import keep_connections
from finetune_assets.storage.database import explain
from finetune_assets.storage.files import explain_unwritable
from finetune_assets.storage.home import Home

PID_TAG = "finetune/pid"
STARTED_TAG = "finetune/process_started"
HOST_TAG = "finetune/host"
TASK_TAG = "finetune/task"
NAMESPACE_TAG = "finetune/namespace"
GATE_TAG = "finetune/gate"

_NO_CAPTURE = {
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
        "config": {},
    }
}
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def install_instance(home: Home, environ: dict[str, str] | os._Environ[str]) -> Path:
    """Point DAGSTER_HOME at the home and install the project's dagster.yaml there.

    Args:
        home: the platform's home.
        environ: the environment to change, `os.environ` in a real process.

    Returns:
        The folder of the instance.
    """
    home.ensure()
    target = home.dagster / "dagster.yaml"
    source = dagster_yaml()
    if not target.exists() or target.read_bytes() != source.read_bytes():
        part = target.with_suffix(f".{os.getpid()}.tmp")
        shutil.copyfile(source, part)
        part.replace(target)
    environ["DAGSTER_HOME"] = str(home.dagster)
    environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    return home.dagster


@contextmanager
def open_instance(home: Home, environ: dict[str, str] | os._Environ[str]) -> Iterator[dg.DagsterInstance]:
    """Install and open the instance of a home, for runs of this very process.

    What such a run prints stays in its terminal: to capture it, Dagster would redirect the process's own output and
    start three helpers for it. What the work has to say is in the run's log, and the trainers have logs of their own.

    Raises:
        StorageError: when the disk under Dagster's own storage is full, read-only or failing, now or in the block.
    """
    try:
        with explain_unwritable(home.dagster):
            install_instance(home, environ)
            reference = InstanceRef.from_dir(str(home.dagster), overrides=_NO_CAPTURE)
            with dg.DagsterInstance.from_ref(reference) as instance, keep_connections(instance):
                yield instance
    except DBAPIError as error:
        problem = explain(error, str(home.dagster))
        if problem is None:
            raise
        raise problem from error


def dagster_yaml() -> Path:
    """Return the project's top-level dagster.yaml."""
    return Path(__file__).resolve().parents[2] / "dagster.yaml"


def process_tags() -> dict[str, str]:
    """Return the tags that name this process."""
    return {
        PID_TAG: str(os.getpid()),
        STARTED_TAG: _started(os.getpid()),
        HOST_TAG: socket.gethostname(),
    }


def _started(pid: int) -> str:
    """Return when a process started, as text, or "" when there is no such process."""
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return f"{process.create_time():.1f}"
    except psutil.NoSuchProcess:
        return ""


def is_dead(tags: Mapping[str, str]) -> bool:
    """Return True when the tags name a process of this host that no longer runs."""
    if tags.get(HOST_TAG) != socket.gethostname() or not tags.get(PID_TAG, "").isdigit():
        return False
    return _started(int(tags[PID_TAG])) != tags.get(STARTED_TAG)


def sweep_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report every unfinished run whose process is gone as failed, or as cancelled when that was asked for.

    Returns:
        The ids of the runs.
    """
    swept = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED)):
        if not is_dead(run.tags):
            continue
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, "its process has ended")
        else:
            instance.report_run_failed(run, f"its process {run.tags[PID_TAG]} is gone; start it again, it resumes")
        swept.append(run.run_id)
    return swept
