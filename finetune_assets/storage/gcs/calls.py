"""How calls are made: names of objects, and for how long and how often a call is tried again."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from finetune_assets.storage.errors import StorageError

SCHEME = "gs://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_JITTER = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class GcsUri:
    """A place in Cloud Storage.

    Attributes:
        bucket: the bucket's name.
        name: the object's name or a prefix, without a slash in front; "" for the bucket itself.
    """

    bucket: str
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> GcsUri:
        """Read `gs://bucket/name`.

        Raises:
            StorageError: when it is no such URI.
        """
        bucket, _, name = text.removeprefix(SCHEME).partition("/")
        if not text.startswith(SCHEME) or not _BUCKET.fullmatch(bucket) or any(sign in name for sign in "\r\n\0"):
            raise StorageError(
                "not a place in Cloud Storage",
                found=repr(text),
                expected="gs://bucket/prefix, the bucket in small letters",
                mend="correct the URI",
            )
        return cls(bucket, name)

    def child(self, *names: str) -> GcsUri:
        """Return the place below this one."""
        return GcsUri(self.bucket, "/".join(part for part in (self.name.rstrip("/"), *names) if part))

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.name}" if self.name else f"{SCHEME}{self.bucket}"


def is_gcs_uri(text: str) -> bool:
    """Tell whether a path of the configuration is meant for Cloud Storage."""
    return text.startswith(SCHEME)


@dataclass(frozen=True, slots=True)
class Patience:
    """For how long calls are tried again. Only reads, and writes under a precondition, ever are.

    Attributes:
        deadline_s: seconds after which a call, or a transfer that makes no progress, is given up.
        initial_s: first wait in seconds; each further one is twice as long, with jitter.
        maximum_s: longest wait in seconds.
        timeout_s: seconds that one request may take to connect, and between two pieces of its answer.
    """

    deadline_s: float = 300.0
    initial_s: float = 1.0
    maximum_s: float = 30.0
    timeout_s: float = 60.0

    def retry(self) -> Any:
        """Return the client's own retry policy with these figures."""
        from google.cloud.storage.retry import DEFAULT_RETRY

        return DEFAULT_RETRY.with_delay(self.initial_s, self.maximum_s, 2.0).with_timeout(self.deadline_s)

    def call(self) -> dict[str, Any]:
        """Return the keyword arguments of a call that may be repeated."""
        return {"retry": self.retry(), "timeout": self.timeout_s}


USUAL = Patience()


class Waiting:
    """The waits of one transfer: they grow, and begin anew with each progress.

    Args:
        patience: how long.
        sleep: waits for so many seconds.
        clock: seconds, never running backwards.
    """

    def __init__(
        self,
        patience: Patience,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience
        self._sleep = sleep
        self._clock = clock
        self.progress()

    def progress(self) -> None:
        """Note that bytes have moved."""
        self._until = self._clock() + self._patience.deadline_s
        self._delay = self._patience.initial_s

    def again(self) -> bool:
        """Wait for the next try; False, without waiting, when there is no time left."""
        wait = self._delay * _JITTER.uniform(0.5, 1.0)
        if self._clock() + wait > self._until:
            return False
        self._sleep(wait)
        self._delay = min(2 * self._delay, self._patience.maximum_s)
        return True
