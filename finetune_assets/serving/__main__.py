"""The gateway as a process: `python -m finetune_assets.serving --home FOLDER`.

`serving/process.py` starts it and watches it; a person or a container may as well.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from finetune_assets.records.errors import FinetuneError
from finetune_assets.serving.config import LOOPBACK, GatewaySettings
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.files import write_json_atomic

log = logging.getLogger("finetune_assets.serving")

UNUSABLE_EXIT = 2
_PARENT_POLL_S = 0.25
_GRACE_S = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the gateway until it is told to stop; return the exit code."""
    options = _parser().parse_args(arguments)
    # Imports and model building make a great many objects that stay; collecting among them costs half a second.
    gc.disable()
    try:
        settings = GatewaySettings.model_validate_json(options.settings)
        listener = bind(settings.host, settings.port)
        return _serve(options, settings, listener)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return _refuse(FinetuneError("gateway setting is not valid", where=place, found=first["msg"]))
    except (FinetuneError, StorageError) as error:
        return _refuse(error)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        FinetuneError: when the port is taken or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise FinetuneError(
            "gateway cannot listen",
            where=f"{host}:{port}",
            found=error.strerror or str(error),
            expected="a free port of this machine",
            mend="stop what listens there, or choose another port (0 takes a free one)",
        ) from error
    return listener


def _serve(options: argparse.Namespace, settings: GatewaySettings, listener: socket.socket) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    import uvicorn

    from finetune_assets.serving.gateway import create_app
    from finetune_assets.serving.release import ListedReleases, PointerReleases, ReleaseSource
    from finetune_assets.storage.home import Home

    home = Home.from_environment(os.environ, options.home)
    source: ReleaseSource
    if options.releases is not None:
        source = ListedReleases(home, options.releases, threads=settings.threads)
    else:
        source = PointerReleases(home, threads=settings.threads)
    if settings.host not in (LOOPBACK, "localhost", "::1"):
        log.warning("listening on %s: requests from elsewhere need a key, and keys want TLS in front", settings.host)
    config = uvicorn.Config(
        # A rehearsal is asked recorded questions; they are nobody's, and must not count as traffic.
        create_app(
            source, settings, on_started=_collect_garbage_again, home=home if options.releases is None else None
        ),
        log_config=None,
        # An access log would hold query strings, which are the senders' texts.
        access_log=False,
        # Who asks is the other end of the connection, never what a header says.
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = uvicorn.Server(config)
    if options.parent is not None:
        threading.Thread(target=_follow_parent, args=(options.parent, server), daemon=True).start()
    if options.announce is not None:
        write_json_atomic(options.announce, {"pid": os.getpid(), "port": listener.getsockname()[1]})
    log.info("listening on %s:%s", settings.host, listener.getsockname()[1])
    server.run(sockets=[listener])
    logging.shutdown()
    # A release that is being loaded would hold up the interpreter's end for as long as it takes.
    os._exit(0 if server.started else 1)


def _collect_garbage_again() -> None:
    gc.freeze()
    gc.enable()


def _follow_parent(parent: int, server: object) -> None:
    """End the gateway when its parent has ended, first politely."""
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_S)
    log.warning("the process that started this gateway has ended; stopping")
    server.should_exit = True  # type: ignore[attr-defined]
    time.sleep(_GRACE_S + 2)
    os._exit(1)


def _refuse(error: Exception) -> int:
    print(str(error), file=sys.stderr, flush=True)  # noqa: T201  the process's only word to its starter
    return UNUSABLE_EXIT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m finetune_assets.serving", description="Serve live releases.")
    parser.add_argument("--home", type=Path, required=True, help="the platform's home folder")
    parser.add_argument("--releases", type=Path, help="serve the releases listed in this file, not the live ones")
    parser.add_argument("--settings", default="{}", help="JSON of serving.config.GatewaySettings")
    parser.add_argument("--announce", type=Path, help="write pid and port to this file when listening")
    parser.add_argument("--parent", type=int, help="end when this process is no longer the parent")
    return parser


if __name__ == "__main__":
    sys.exit(main())
