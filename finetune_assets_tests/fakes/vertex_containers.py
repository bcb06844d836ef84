"""The containers of custom jobs, run as local processes that outlive a kill of the stand-in.

Each replica's process writes its exit status to a file, so that a restarted stand-in finds out how it ended. Preempted
replicas are killed and started anew, as the service does with spot machines.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

from finetune_assets_tests.fakes.vertex_app import App
from finetune_assets_tests.fakes.vertex_store import Resource
from finetune_assets_tests.fakes.vertex_wire import Json

PROJECT = Path(__file__).resolve().parents[2]
WRAPPER = '"$@" >stdout 2>stderr; echo $? >rc.tmp; mv rc.tmp rc'
MAX_REPLICAS = 8
MAX_PREEMPTIONS = 6  # the service tries spot machines again up to six times


def replicas(it: Resource) -> list[tuple[int, int, Json]]:
    """Return (pool, index, its worker pool spec) of each replica."""
    found = []
    for pool, spec in enumerate(it.body["jobSpec"]["workerPoolSpecs"]):
        found += [(pool, index, spec) for index in range(int(spec.get("replicaCount", 1) or 1)) if spec]
    return found[:MAX_REPLICAS]


def folder_of(app: App, it: Resource) -> Path:
    """Return the folder of the present attempt; each replica has one below."""
    return app.store.root / "containers" / str(it.seq) / f"attempt-{it.private.get('attempt', 0)}"


def command_of(app: App, spec: Json) -> list[str] | None:
    """Return the command line of a container; None when its image's entry point is not known."""
    container = spec["containerSpec"]
    command = list(container.get("command", []))
    if not command:
        entries = app.store.settings["image_commands"].items()
        command = next((list(entry) for image, entry in entries if re.search(image, container["imageUri"])), [])
    if not command:
        return None
    if command[0] in {"python", "python3"}:
        command[0] = sys.executable
    return [*command, *container.get("args", [])]


def environment(app: App, it: Resource, pool: int, index: int, spec: Json) -> dict[str, str]:
    """Return a container's environment: what the service sets, the stand-ins' address, the job's own variables."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH") if key in os.environ}
    base = it.body["jobSpec"].get("baseOutputDirectory", {}).get("outputUriPrefix", "").rstrip("/")
    found = {
        **kept,
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
        "CLOUD_ML_PROJECT_ID": it.parent.split("/")[1],
        "CLOUD_ML_JOB_ID": str(it.seq),
        "CLUSTER_SPEC": json.dumps(_cluster(it, pool, index)),
        "FINETUNE_ALLOW_EMULATOR": "1",
        "STORAGE_EMULATOR_HOST": app.gcs.url,
    }
    if base:
        names = {"AIP_MODEL_DIR": "model", "AIP_CHECKPOINT_DIR": "checkpoints", "AIP_TENSORBOARD_LOG_DIR": "logs"}
        found.update({key: f"{base}/{name}/" for key, name in names.items()})
    found.update({item["name"]: str(item.get("value", "")) for item in spec["containerSpec"].get("env", [])})
    return found


def _cluster(it: Resource, pool: int, index: int) -> Json:
    port = it.private.get("port", 2222)
    hosts: dict[str, list[str]] = {}
    for number, (other, _, _) in enumerate(replicas(it)):
        hosts.setdefault(f"workerpool{other}", []).append(f"127.0.0.1:{port + number}")
    return {"cluster": hosts, "task": {"type": f"workerpool{pool}", "index": index}, "environment": "cloud"}


def start(app: App, it: Resource) -> str | None:
    """Start every replica of the present attempt. Returns why it can't be done, or None."""
    if len(replicas(it)) > 1:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            it.private["port"] = found.getsockname()[1]
    for pool, index, spec in replicas(it):
        command = command_of(app, spec)
        if command is None:
            return (
                f"The image {spec['containerSpec']['imageUri']} names no command; set image_commands in the stand-in."
            )
        folder = folder_of(app, it) / f"workerpool{pool}-{index}"
        if (folder / "pid").exists():  # started just before the stand-in was killed
            continue
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "command").write_text(shlex.join(command))
        process = subprocess.Popen(
            ["/bin/sh", "-c", WRAPPER, "sh", *command],
            cwd=folder,
            env=environment(app, it, pool, index, spec),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        (folder / "pid").write_text(str(process.pid))
        app.cache.setdefault("processes", {})[process.pid] = process
    return None


def outcome(app: App, it: Resource) -> list[tuple[str, int | None, bool]]:
    """Return (replica, exit status, alive) of each replica; a dead one without status was killed from outside."""
    found = []
    for folder in sorted(folder_of(app, it).iterdir()):
        status = folder / "rc"
        if status.exists():
            found.append((folder.name, int(status.read_text()), False))
            continue
        alive = _alive(app, int((folder / "pid").read_text()))
        # It may have ended between the two looks.
        found.append((folder.name, int(status.read_text()) if status.exists() else None, alive))
    return found


def _alive(app: App, pid: int) -> bool:
    process = app.cache.get("processes", {}).get(pid)
    if process is not None:
        return process.poll() is None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def end_containers(root: Path) -> None:
    """Kill what still runs of a stand-in's containers, at the end of a test."""
    for pid in (root / "containers").glob("*/*/*/pid"):
        if not (pid.parent / "rc").exists():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(int(pid.read_text()), signal.SIGKILL)


def kill(app: App, it: Resource, sign: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to every replica's process group."""
    folder = folder_of(app, it)
    for pid in folder.glob("*/pid") if folder.exists() else ():
        if (pid.parent / "rc").exists():
            continue
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(pid.read_text()), sign)


def stderr_tail(app: App, it: Resource, replica: str) -> str:
    """Return the last line that a replica wrote to stderr."""
    path = folder_of(app, it) / replica / "stderr"
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return lines[-1][:300] if lines else ""
