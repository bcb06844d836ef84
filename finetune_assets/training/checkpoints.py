"""Checkpoints that say themselves whether they are whole.

transformers' Trainer writes a checkpoint file by file and takes the highest number for the newest, so a process that
dies in between leaves one that cannot be loaded. Here belongs the seal: a COMPLETE file, written last, with every
file's checksum and the identity of the run that may continue from it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from finetune_assets.records.digests import digest_of_file

SEAL = "COMPLETE"
_NAME = re.compile(r"checkpoint-(\d+)")


def seal(checkpoint: Path, run_identity: str) -> None:
    """Mark a checkpoint as complete, after all its bytes are on the disk.

    Args:
        checkpoint: the folder, all its files written.
        run_identity: names what decides the weights; only a run with the same identity may continue.
    """
    checksums = {}
    for path in _files(checkpoint):
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
        checksums[path.relative_to(checkpoint).as_posix()] = digest_of_file(path)
    staged = checkpoint / f"{SEAL}.part"
    with staged.open("w", encoding="utf-8") as stream:
        json.dump({"run_identity": run_identity, "sha256": checksums}, stream, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    staged.replace(checkpoint / SEAL)
    _sync_folder(checkpoint)
    _sync_folder(checkpoint.parent)


def problem_with(checkpoint: Path, run_identity: str) -> str:
    """Say why a checkpoint cannot be continued, "" when it can."""
    try:
        data = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
        checksums: dict[str, str] = dict(data["sha256"])
        identity = data["run_identity"]
    except FileNotFoundError:
        return "no COMPLETE file"
    except (ValueError, KeyError, TypeError):
        return "COMPLETE is not readable"
    if identity != run_identity:
        return "made by a run with other settings, data, threads or versions"
    for name, checksum in sorted(checksums.items()):
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if digest_of_file(path) != checksum:
            return f"{name} has another checksum"
    return ""


def newest_complete(folder: Path, run_identity: str) -> tuple[Path | None, list[str]]:
    """Find the checkpoint to continue from, and remove every one that nobody can continue from.

    Those are removed because the Trainer counts them when it decides which old ones to delete.

    Args:
        folder: holds `checkpoint-<step>` folders; it may be missing.
        run_identity: the identity of the run that asks.

    Returns:
        The complete checkpoint with the highest step, or None; and a line for each removed one.
    """
    found = None
    removed = []
    for _, checkpoint in sorted(_checkpoints(folder), reverse=True):
        problem = problem_with(checkpoint, run_identity)
        if problem:
            removed.append(f"{checkpoint.name}: {problem}")
            shutil.rmtree(checkpoint)
        elif found is None:
            found = checkpoint
    return found, removed


def step_of(checkpoint: Path) -> int:
    """Return the optimizer step after which a checkpoint was written, read from its name."""
    match = _NAME.fullmatch(checkpoint.name)
    if match is None:
        raise ValueError(f"{checkpoint.name} is no checkpoint's name")
    return int(match.group(1))


def _checkpoints(folder: Path) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        return []
    return [(step_of(path), path) for path in folder.iterdir() if path.is_dir() and _NAME.fullmatch(path.name)]


def _files(folder: Path) -> list[Path]:
    marks = (SEAL, f"{SEAL}.part")
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in marks)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
