"""Real processes for the tests: Python scripts that speak line by line on stdout."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def spawn(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Start a script and make sure that it and its pipes are gone afterwards."""
    process = spawn(script, *arguments)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def says(process: subprocess.Popen[str], word: str) -> None:
    """Wait for the script's next line and require it to be `word`."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if line != word:
        process.kill()
        raise AssertionError(f"expected {word!r}, got {line!r}: {process.communicate()[1]}")


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for the end and return what it said; a failed script fails the test."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out
