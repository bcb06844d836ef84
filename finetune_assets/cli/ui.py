"""`finetune ui`: `dg dev -w workspace.yaml` with a guard in front of the webserver.

Dagster's webserver has no users and takes mutations over GET and from any origin, so any web page open in the same
browser could launch a run. `Guard` stands in front of it.
"""

import sys
from pathlib import Path
from typing import Any

from finetune_assets.records.errors import FinetuneError

_WEBSERVER_MODULE = "dagster_webserver"
_GUARDED_MODULE = "finetune_assets.cli.guarded_webserver"


def serve_ui(host: str, port: int) -> None:
    """Run `dg dev -w workspace.yaml` in this process, its webserver started behind the guard.

    Raises:
        FinetuneError: when the port is taken, workspace.yaml is missing, or this Dagster starts its webserver in
            another way than the guard knows.
    """
    import dagster._cli.dev as dev

    workspace = Path(__file__).resolve().parents[2] / "workspace.yaml"
    if not workspace.is_file():
        raise FinetuneError(
            "workspace.yaml is missing", where=str(workspace), mend="run from a checkout of the project"
        )
    _refuse_taken_port(host, port)
    if not hasattr(dev, "open_ipc_subprocess"):
        raise FinetuneError(
            "this Dagster starts its webserver in an unknown way",
            expected="dagster 1.13",
            mend="install the versions of constraints.txt, or run `dg dev -w workspace.yaml` without the guard",
        )
    start = dev.open_ipc_subprocess

    def start_guarded(parts: list[str], **options: Any) -> Any:
        if parts[1:3] == ["-m", _WEBSERVER_MODULE]:
            parts = [parts[0], "-m", _GUARDED_MODULE, *parts[3:]]
        return start(parts, **options)

    dev.open_ipc_subprocess = start_guarded
    from dagster_dg_cli.cli import cli

    cli(["dev", "-w", str(workspace), "--host", host, "--port", str(port)], standalone_mode=True)
    sys.exit(0)


def _refuse_taken_port(host: str, port: int) -> None:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise FinetuneError(
                "port cannot be had",
                where=f"{host}:{port}",
                found=error.strerror or str(error),
                mend=f"stop what listens there, or take another: `finetune ui --port {port + 1}`",
            ) from None
