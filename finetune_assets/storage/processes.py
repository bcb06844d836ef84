"""Which process is it, and is it still alive: marks that outlive the process that made them.

A pid alone says little: numbers are used again, mean nothing on another host or in another container, and a killed
process whose parent has not asked for it is a zombie. A mark therefore holds the scope in which the pid has a meaning
and the moment at which the process started.
"""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

_PROC = Path("/proc")
_ENDED = frozenset("ZXx")  # zombie and dead, as proc(5) spells them


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """One process, for ever.

    Attributes:
        host: the scope of the pid: host name, and on Linux the boot and the pid namespace.
        pid: process id.
        started: when it started, in a form that is only ever compared: clock ticks since boot on Linux (wall-clock
            start times there move with the clock), milliseconds since the epoch elsewhere.
    """

    host: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> ProcessMark:
        """Return the mark of the calling process."""
        pid = os.getpid()
        return cls(host=_scope(), pid=pid, started=_start_of(pid) or "")

    @property
    def token(self) -> str:
        """The mark as part of a file name: letters, digits and two dashes."""
        return f"{_short(self.host)}-{self.pid}-{self.started}"

    def is_dead(self) -> bool:
        """Return True only when this process is known to have ended; False when it lives or cannot be known."""
        return self.host == _scope() and _has_ended(self.pid, self.started)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host.split('/')[0]}"


def token_has_ended(token: str) -> bool | None:
    """Say whether the process of a `ProcessMark.token` has ended; None when it cannot be known from here."""
    host, _, rest = token.partition("-")
    pid, _, started = rest.partition("-")
    if host != _short(_scope()) or not pid.isdigit():
        return None
    return _has_ended(int(pid), started)


def _short(host: str) -> str:
    return hashlib.sha256(host.encode()).hexdigest()[:12]


def _has_ended(pid: int, started: str) -> bool:
    seen = _start_of(pid)
    if seen is not None:
        return seen != started
    # /proc may hide other users' processes: only the kernel's "no such process" (or a zombie) is proof.
    return _is_zombie(pid) or not psutil.pid_exists(pid)


def _scope() -> str:
    host = socket.gethostname()
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return host
    return f"{host}/{boot}/{namespace}"


def _start_of(pid: int) -> str | None:
    """Return when a running process started, None when there is none (a zombie does not run)."""
    if (_PROC / "self/stat").exists():
        fields = _stat(pid)
        return None if fields is None or fields[0] in _ENDED else fields[19]
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return str(int(process.create_time() * 1000))
    except psutil.Error:
        return None


def _is_zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name: [0] is the state, [19] the start in clock ticks."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The name stands in parentheses and may itself hold spaces and parentheses.
    return text.rpartition(")")[2].split()
