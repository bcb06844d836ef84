"""Stand-ins of cloud services on this machine: when they may be used, and where they are.

A variable that points a client elsewhere would send it tokens and rows, so that it is refused unless it was allowed by
name; even then only this machine is reached, and never with real credentials.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from finetune_assets.storage.errors import StorageError

ALLOW = "FINETUNE_ALLOW_EMULATOR"
STORAGE = "STORAGE_EMULATOR_HOST"
VERTEX = "FINETUNE_VERTEX_ENDPOINT"
# Other variables by which Google's clients can be pointed elsewhere; none of them is ever taken.
_FOREIGN = (
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_VERTEX_BASE_URL",
    "API_ENDPOINT_OVERRIDE",
    "STORAGE_API_ENDPOINT_OVERRIDE",
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def refuse_emulators(environ: Mapping[str, str]) -> None:
    """Refuse variables that point Google's clients elsewhere, unless stand-ins are allowed and on this machine.

    Raises:
        StorageError: naming the variable.
    """
    for name in _FOREIGN:
        if environ.get(name):
            raise StorageError(
                "a variable points a cloud client to another host",
                where=f"environment variable {name}",
                expected="Google's own hosts",
                mend=f"unset {name}",
            )
    for name in (STORAGE, VERTEX):
        if environ.get(name):
            _check(name, environ[name], allowed=environ.get(ALLOW) == "1")


def storage_emulator(environ: Mapping[str, str]) -> str:
    """Return the URL of the stand-in for Cloud Storage, "" for Google's own.

    Raises:
        StorageError: when one is set and not allowed.
    """
    refuse_emulators(environ)
    return environ.get(STORAGE, "")


def vertex_emulator(environ: Mapping[str, str]) -> str:
    """Return the URL of the stand-in for Vertex AI, "" for Google's own.

    Raises:
        StorageError: when one is set and not allowed.
    """
    refuse_emulators(environ)
    return environ.get(VERTEX, "").rstrip("/")


def _check(name: str, value: str, *, allowed: bool) -> None:
    host = urlsplit(value if "//" in value else f"//{value}").hostname
    if not allowed or host not in _LOOPBACK:
        raise StorageError(
            "a stand-in for a cloud service is not allowed here",
            where=f"environment variable {name}",
            found=host or value,
            expected="nothing" if not allowed else "a host on this machine",
            mend=f"unset {name}, or set {ALLOW}=1 to try things out on this machine",
        )
