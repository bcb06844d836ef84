"""Checkpoints in Cloud Storage: complete ones go there while training runs, and a new start goes on from them.

A checkpoint's folder there is named by its step and by the hash of its seal, which lists the checksum of every file:
equal names hold equal bytes, so that nothing is ever overwritten and half an upload of an earlier start does no harm.
The seal goes last; a folder without it does not count.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from finetune_assets.records.digests import digest_of_file, short
from finetune_assets.training.checkpoints import SEAL, problem_with, step_of
from finetune_assets.training.container.errors import ContainerError
from finetune_assets.training.container.remote import Remote
from finetune_assets.training.supervise import HALVINGS_FILE

POLL_S = 0.5
_SEALED = re.compile(rf"(checkpoint-(\d+))-[0-9a-f]{{12}}/{SEAL}")
_HALVINGS = re.compile(r"halvings-(\d+)")


class Mirror:
    """Keeps the checkpoints of one job in Cloud Storage.

    Args:
        remote: Cloud Storage.
        folder: gs:// folder for this job's checkpoints.
        work: local folder of the trainer's checkpoints.
        say: takes a line for people.
    """

    def __init__(self, remote: Remote, folder: str, work: Path, say: Callable[[str], None]) -> None:
        self._remote = remote
        self._folder = folder.rstrip("/")
        self._work = work
        self._say = say
        self._stored: set[str] = set()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def restore(self) -> list[int]:
        """Fetch the newest complete checkpoint of each way to train that was tried before.

        A run with smaller batches, after memory ran out, has an identity of its own; the trainer picks its own.

        Returns:
            Their steps, the highest first; empty when there is none.

        Raises:
            ContainerError: when Cloud Storage cannot be read.
        """
        names = self._remote.names(self._folder)
        halvings = [int(match.group(1)) for name in names if (match := _HALVINGS.fullmatch(name))]
        if halvings:
            self._work.mkdir(parents=True, exist_ok=True)
            (self._work / HALVINGS_FILE).write_text(str(max(halvings)), encoding="ascii")
        sealed = [(int(match.group(2)), match.group(1), name) for name in names if (match := _SEALED.fullmatch(name))]
        restored: dict[str, int] = {}
        for step, name, marker in sorted(sealed, reverse=True):
            seal = self._remote.read(f"{self._folder}/{marker}")
            identity = _identity_in(seal)
            if identity is not None and identity not in restored and self._fetch(name, marker, seal, identity):
                restored[identity] = step
        return sorted(restored.values(), reverse=True)

    def _fetch(self, name: str, marker: str, seal: bytes, identity: str) -> bool:
        target = self._work / name
        if target.exists():
            return False
        part = self._work / f"{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        source = f"{self._folder}/{marker.rpartition('/')[0]}"
        try:
            for file, sha256 in sorted(json.loads(seal)["sha256"].items()):
                self._remote.download(f"{source}/{file}", part / file, sha256)
        except ContainerError as error:
            shutil.rmtree(part)
            self._say(f"not continued from {name} in Cloud Storage: {error.what}")
            return False
        (part / SEAL).write_bytes(seal)
        problem = problem_with(part, identity)
        if problem:
            shutil.rmtree(part)
            self._say(f"not continued from {name} in Cloud Storage: {problem}")
            return False
        part.rename(target)
        self._stored.add(_stored_name(target))
        return True

    def store(self) -> int:
        """Upload every sealed checkpoint that is not there yet, oldest first; return how many.

        Raises:
            ContainerError: when one cannot be written.
        """
        self._store_halvings()
        done = 0
        for seal in sorted(self._work.glob(f"checkpoint-*/{SEAL}"), key=lambda path: step_of(path.parent)):
            try:
                done += self._store_one(seal.parent)
            except FileNotFoundError:
                continue  # the trainer removed it for newer ones
        return done

    def _store_one(self, checkpoint: Path) -> bool:
        name = _stored_name(checkpoint)
        if name in self._stored:
            return False
        seal = (checkpoint / SEAL).read_bytes()
        # By the seal's own list: of a checkpoint that the trainer is removing a listing finds only some of the files.
        for file in sorted(json.loads(seal)["sha256"]):
            self._remote.put(checkpoint / file, f"{self._folder}/{name}/{file}")
        self._remote.put(checkpoint / SEAL, f"{self._folder}/{name}/{SEAL}")
        self._stored.add(name)
        self._say(f"{checkpoint.name} is in Cloud Storage")
        return True

    def _store_halvings(self) -> None:
        path = self._work / HALVINGS_FILE
        if path.is_file() and (text := path.read_text(encoding="ascii").strip()).isdigit():
            name = f"halvings-{int(text)}"
            if name not in self._stored:
                self._remote.put(path, f"{self._folder}/{name}")
                self._stored.add(name)

    def start(self) -> None:
        """Upload in the background until `stop`; what fails is tried again, and said once."""
        self._thread = threading.Thread(target=self._loop, name="checkpoint-mirror", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the background upload, after what it is at."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _loop(self) -> None:
        said = ""
        while not self._ended.wait(POLL_S):
            try:
                self.store()
                said = ""
            except ContainerError as error:
                if error.what != said:
                    self._say(f"a checkpoint waits: {error}")
                said = error.what


def _stored_name(checkpoint: Path) -> str:
    return f"{checkpoint.name}-{short(digest_of_file(checkpoint / SEAL))}"


def _identity_in(seal: bytes) -> str | None:
    try:
        data = json.loads(seal)
        return str(data["run_identity"]) if isinstance(data["sha256"], dict) else None
    except (ValueError, KeyError, TypeError):
        return None
