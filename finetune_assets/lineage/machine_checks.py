"""Looks at this machine: Python, packages, home, database, Dagster's instance, disk, torch and ports.

Nothing is changed but what the home needs to exist. What is wrong comes back as a `Look`, never as an exception.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from finetune_assets.lineage.instance import open_instance
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.home import Home
from finetune_assets.storage.models import SCHEMA_REVISION

State = Literal["ok", "warning", "error", "not checked"]

PACKAGE = "finetune_assets"
PORTS = {3000: "the UI (`finetune ui --port`)", 8700: "the gateway (`finetune serve --port`)"}
_GIGABYTE = 10**9
_LEAST_DISK_GB, _ENOUGH_DISK_GB = 1.0, 5.0
_TORCH_S = 120.0


@dataclass(frozen=True)
class Look:
    """What one look said.

    Attributes:
        name: what was looked at.
        state: `ok`, `warning`, `error`, or `not checked` where it could not be looked at.
        found: what is there.
        expected: what would be right, "" where that is obvious.
        mend: what to do, "" where nothing is to be done.
    """

    name: str
    state: State
    found: str = ""
    expected: str = ""
    mend: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def check_machine(home: Home) -> Iterator[Look]:
    """Look at this machine, one thing after the other.

    Args:
        home: the platform's home.
    """
    yield check_python()
    yield from check_packages()
    yield check_home(home)
    yield check_disk(home)
    yield check_database(home)
    yield check_instance(home)
    yield check_torch()
    for port, whose in PORTS.items():
        yield check_port(port, whose)


def check_python() -> Look:
    """Hold this Python against what the package asks for."""
    from packaging.specifiers import SpecifierSet

    found = ".".join(map(str, sys.version_info[:3]))
    wanted = metadata.metadata(PACKAGE)["Requires-Python"] or ""
    if SpecifierSet(wanted).contains(found):
        return Look("python", "ok", found, wanted)
    return Look("python", "error", found, wanted, "make a virtual environment with a fitting Python, and install again")


def check_packages(constraints: Path | None = None) -> Iterator[Look]:
    """Hold the installed packages against the ranges that the package asks for, and the versions tested together.

    Args:
        constraints: the file of known-good versions; None takes the project's own.
    """
    from packaging.requirements import Requirement

    known = _known_good(constraints or Path(__file__).resolve().parents[2] / "constraints.txt")
    wrong: list[Look] = []
    other: list[str] = []
    for text in metadata.requires(PACKAGE) or []:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        found = _version(wanted.name)
        if found is None or not wanted.specifier.contains(found, prereleases=True):
            wrong.append(_unfit(wanted.name, found, str(wanted.specifier)))
        elif known.get(_canonical(wanted.name), found) != found.partition("+")[0]:
            other.append(f"{wanted.name} {found} (tested: {known[_canonical(wanted.name)]})")
    yield from wrong
    if other:
        mend = "`pip install -c constraints.txt -e .` brings the tested ones"
        yield Look("packages", "warning", "; ".join(other), "the versions that are tested together", mend)
    elif not wrong:
        yield Look("packages", "ok", "the versions that are tested together" if known else "within their ranges")


def _unfit(name: str, found: str | None, wanted: str) -> Look:
    return Look(f"package {name}", "error", found or "not installed", wanted, "`pip install -c constraints.txt -e .`")


def _known_good(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    pins = (line.partition("==") for line in lines if "==" in line)
    return {_canonical(name): version for name, _, version in pins}


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return str(canonicalize_name(name))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_home(home: Home) -> Look:
    """Write a file into the home and delete it."""
    probe = home.path / f".doctor-{os.getpid()}"
    try:
        home.ensure()
        probe.write_bytes(b"may this be written?\n")
        probe.unlink()
    except (OSError, StorageError) as error:
        return Look("home", "error", _first_line(error), "a folder that can be written", "set FINETUNE_HOME to another")
    return Look("home", "ok", f"{home.path} can be written")


def check_disk(home: Home) -> Look:
    """Look how much room there is for artifacts, checkpoints and models."""
    place = next((folder for folder in (home.path, *home.path.parents) if folder.exists()), Path("/"))
    free = shutil.disk_usage(place).free / _GIGABYTE
    found, expected = f"{free:.1f} GB free", f"{_ENOUGH_DISK_GB:g} GB"
    if free >= _ENOUGH_DISK_GB:
        return Look("disk", "ok", found, expected)
    state: State = "warning" if free >= _LEAST_DISK_GB else "error"
    return Look("disk", state, found, expected, "free some space, or set FINETUNE_HOME to another disk")


def check_database(home: Home) -> Look:
    """Look at the version of the database's schema, and change nothing."""

    def look() -> Look:
        database = Database(home.database_url)
        try:
            revision = database.revision()
        finally:
            database.close()
        if revision is None:
            return Look("database", "ok", "none yet; the first command makes it")
        if revision == SCHEMA_REVISION:
            return Look("database", "ok", f"schema {revision}")
        if revision < SCHEMA_REVISION:
            told = f"schema {revision}; the next command brings it up to date"
            return Look("database", "warning", told, SCHEMA_REVISION, "back it up before, if it matters")
        return Look("database", "error", f"schema {revision}", SCHEMA_REVISION, "install the newer version again")

    return _looked("database", look)


def check_instance(home: Home) -> Look:
    """Open Dagster's instance as every run does."""

    def look() -> Look:
        with open_instance(home, os.environ) as instance:
            count = instance.get_runs_count()
        return Look("dagster", "ok", f"instance in {home.dagster}, {count} runs")

    return _looked("dagster", look)


def check_torch() -> Look:
    """Load torch in a process of its own: a broken one may take the whole process down."""
    code = "import torch; print(torch.__version__, 'cuda' if torch.cuda.is_available() else 'cpu')"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=_TORCH_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Look(
            "torch", "error", f"not loaded within {_TORCH_S:g} s", "it loads", "look at the machine's load and disk"
        )
    if done.returncode:
        found = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        return Look("torch", "error", found, "it loads", "install it again: `pip install -c constraints.txt torch`")
    return Look("torch", "ok", done.stdout.strip())


def check_port(port: int, whose: str) -> Look:
    """Look whether a port of ours is free on this machine."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", port))
        except OSError as error:
            mend = f"end what listens there, unless it is ours already, or take another port for {whose}"
            return Look(f"port {port}", "warning", os.strerror(error.errno or 0), "free", mend)
    return Look(f"port {port}", "ok", f"free for {whose}")


def _looked(name: str, look: Callable[[], Look]) -> Look:
    try:
        return look()
    except (StorageError, FinetuneError) as problem:
        return Look(name, "error", problem.found or problem.what, problem.expected, problem.mend or problem.what)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
