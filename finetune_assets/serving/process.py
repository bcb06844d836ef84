"""The gateway as a child process: started on a free port, watched until ready, stopped, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from finetune_assets.records.errors import FinetuneError
from finetune_assets.serving.config import GatewaySettings
from finetune_assets.serving.listing import ReleaseRef, write_listing
from finetune_assets.storage.files import explain_unwritable, read_json
from finetune_assets.storage.home import Home

_POLL_S = 0.05
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


class RunningGateway:
    """A gateway in a process of its own; use it as a context manager, or call `stop`.

    Attributes:
        url: its address, for instance http://127.0.0.1:41234.
        port: the port.
        pid: the process.
        log: the file that its output goes to.
    """

    def __init__(self, process: subprocess.Popen[bytes], host: str, port: int, log: Path, listing: Path | None) -> None:
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{port}"
        self.port = port
        self.pid = process.pid
        self.log = log
        self._process = process
        self._listing = listing

    def serve(self, releases: Sequence[ReleaseRef]) -> None:
        """Change which releases a gateway that was started with a list of them serves; it follows within a poll.

        Raises:
            FinetuneError: when this gateway follows the live pointer.
        """
        if self._listing is None:
            raise FinetuneError("this gateway follows the live pointer", where=self.url, mend="move the pointer")
        write_listing(self._listing, releases)

    def wait_ready(
        self, *, task: str | None = None, candidate: str | None = None, timeout_s: float = 120.0
    ) -> dict[str, Any]:
        """Wait until releases answer.

        Args:
            task: wait for this task; None waits for whatever is live.
            candidate: wait until this very candidate answers for `task`.
            timeout_s: how long.

        Returns:
            The gateway's state, as GET /readyz gives it.

        Raises:
            FinetuneError: when the process ends, a release cannot be served, or the time is up.
        """
        import httpx

        deadline = time.monotonic() + timeout_s
        state: dict[str, Any] = {}
        with httpx.Client(base_url=self.url, trust_env=False, timeout=10.0) as client:
            while time.monotonic() < deadline:
                self.check_alive()
                try:
                    state = client.get("/readyz").json()
                except httpx.TransportError:
                    time.sleep(_POLL_S)
                    continue
                _refuse_problems(state, task, candidate, self.log)
                if _is_ready(state, task, candidate):
                    return state
                time.sleep(_POLL_S)
        raise FinetuneError(
            "gateway is not ready in time",
            where=self.url,
            found=str(state),
            expected=f"an answer of {task or 'the live releases'} within {timeout_s:g} s",
            mend=f"see {self.log}",
        )

    def check_alive(self) -> None:
        """Raise FinetuneError when the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise _ended(code, self.log)

    def stop(self, timeout_s: float = 15.0) -> None:
        """Stop the gateway: requests under way are answered first. Calling it again does nothing."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._listing is not None:
            self._listing.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_gateway(
    home: Home,
    *,
    log: Path,
    releases: Sequence[ReleaseRef] | None = None,
    settings: GatewaySettings | None = None,
    environ: Mapping[str, str] | None = None,
    listen_timeout_s: float = 30.0,
) -> RunningGateway:
    """Start a gateway as a child of this process; it ends when this process does.

    It listens when this returns; `wait_ready` waits for the first answer. Started early, with an empty list of
    releases, it has its libraries loaded by the time `serve` names one.

    Args:
        home: the platform's home, for the database and the artifacts.
        log: file that the gateway's output is added to.
        releases: serve these, which need not be live; None follows the live pointer.
        settings: limits and times; the port is a free one unless set.
        environ: the child's environment; None takes this process's.
        listen_timeout_s: how long it may take to listen.

    Returns:
        The running gateway.

    Raises:
        FinetuneError: when the port is taken, or the process ends for another reason; it names the log.
    """
    settings = settings or GatewaySettings()
    token = f"{os.getpid()}-{time.monotonic_ns()}"
    announce = log.with_name(f".{log.stem}-{token}.port")
    listing = None if releases is None else log.with_name(f".{log.stem}-{token}.releases")
    command = [sys.executable, "-m", "finetune_assets.serving", "--home", str(home.path)]
    command += ["--settings", settings.model_dump_json(), "--announce", str(announce), "--parent", str(os.getpid())]
    if listing is not None:
        command += ["--releases", str(listing)]
    with explain_unwritable(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        if listing is not None:
            write_listing(listing, releases or ())
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(os.environ if environ is None else environ, settings.threads),
                # Ctrl-C in a terminal goes to the whole group; the parent decides when its gateway stops.
                start_new_session=True,
            )
    try:
        port = _announced_port(process, announce, log, listen_timeout_s)
    except BaseException:
        process.kill()
        process.wait()
        if listing is not None:
            listing.unlink(missing_ok=True)
        raise
    finally:
        announce.unlink(missing_ok=True)
    return RunningGateway(process, settings.host, port, log, listing)


def _environment(environ: Mapping[str, str], threads: int) -> dict[str, str]:
    path = [str(_PACKAGE_PARENT), *filter(None, [environ.get("PYTHONPATH", "")])]
    return {
        **environ,
        # The child has to find this very package, also when it is run from a checkout.
        "PYTHONPATH": os.pathsep.join(path),
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        # A release names everything it needs on disk; a gateway has no business on the hub.
        "HF_HUB_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _announced_port(process: subprocess.Popen[bytes], announce: Path, log: Path, timeout_s: float) -> int:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if announce.exists():
            return int(read_json(announce)["port"])
        code = process.poll()
        if code is not None:
            raise _ended(code, log)
        time.sleep(_POLL_S)
    raise FinetuneError("gateway does not listen in time", where=str(log), mend="see the log")


def _ended(code: int, log: Path) -> FinetuneError:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return FinetuneError(
        "gateway has ended",
        where=f"{log} (exit code {code})",
        found=lines[-1] if lines else "no output",
        mend="mend what the log says and start it again",
    )


def _is_ready(state: Mapping[str, Any], task: str | None, candidate: str | None) -> bool:
    if task is None:
        return bool(state["ready"])
    serving = state["tasks"].get(task, {}).get("serving")
    return serving is not None and candidate in (None, serving["candidate"])


def _refuse_problems(state: Mapping[str, Any], task: str | None, candidate: str | None, log: Path) -> None:
    for name, facts in state["tasks"].items():
        # A problem with a release that we do not wait for is not ours.
        ours = task in (None, name) and candidate in (None, facts["live"]["candidate"])
        if ours and facts["problem"]:
            raise FinetuneError(
                "release cannot be served",
                where=f"{name}, see {log}",
                found=facts["problem"],
                mend="mend what is named",
            )
