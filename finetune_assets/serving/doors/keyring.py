"""The keys as the gateway holds them: read from the database every few seconds, checked in memory.

However many wrong keys are sent, the database is asked no more often than that.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from finetune_assets.serving.doors.refusals import keys_out_of_reach
from finetune_assets.storage.api_keys import USE_STEP_S, Caller, KeyBook, KnownKeys
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError

log = logging.getLogger(__name__)

MAX_AGE_S = 2.0
"""Seconds for which what was read is used: so long may a key that was just revoked still open doors."""
_LOOK_AGAIN_S = 0.25
"""Seconds after which an unknown key is looked for once more, for it may just have been made."""
_NOTE_EVERY_S = 5.0


class KeyRing:
    """Knows the keys of one installation.

    Args:
        url: the platform's database; "" for a gateway without one, which knows no key.
        clock: seconds that only grow, for tests.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._database: Database | None = None
        self._opening = threading.Lock()
        self._reading = asyncio.Lock()
        # A thread of its own: feedback that waits for the database must not hold up every caller with a key.
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keyring")
        self._known = KnownKeys({})
        self._read_at = float("-inf")
        self._failed_at = float("-inf")
        self._noted: dict[str, float] = {}
        self._used: dict[str, datetime] = {}

    async def caller(self, key: str) -> Caller | None:
        """Return who asks with a key; None for one that is unknown, revoked or expired.

        Raises:
            ApiProblem: 503 when the keys cannot be read.
        """
        if not self._url:
            return None
        await self._read_unless_younger(MAX_AGE_S)
        found = self._known.check(key)
        if found is None:
            await self._read_unless_younger(_LOOK_AGAIN_S)
            found = self._known.check(key)
        if found is not None:
            self._note(found.key_id)
        return found

    async def follow(self) -> None:
        """Write down from time to time which keys were used; runs until it is cancelled."""
        while True:
            await asyncio.sleep(_NOTE_EVERY_S)
            await asyncio.to_thread(self._write_uses)

    def close(self) -> None:
        """Write down what is left, and close the database."""
        self._write_uses()
        with self._opening:
            if self._database is not None:
                self._database.close()
                self._database = None

    async def _read_unless_younger(self, age_s: float) -> None:
        asked = self._clock()
        if asked - self._read_at <= age_s:
            return
        async with self._reading:
            began = self._clock()
            # A reading that began after this caller asked answers it, however long it took; so does its failure.
            if self._read_at >= asked or began - self._read_at <= age_s:
                return
            if self._failed_at >= asked:
                raise keys_out_of_reach()
            try:
                self._known = await asyncio.get_running_loop().run_in_executor(self._reader, self._read)
            except (StorageError, SQLAlchemyError) as error:
                self._failed_at = began
                log.error("the keys could not be read: %s", type(error).__name__)
                raise keys_out_of_reach() from error
            # What was read is as old as the beginning of the reading.
            self._read_at = began

    def _read(self) -> KnownKeys:
        return self._book().known()

    def _note(self, key_id: str) -> None:
        now = self._clock()
        if now - self._noted.get(key_id, float("-inf")) >= USE_STEP_S:
            self._noted[key_id] = now
            self._used[key_id] = utc_now()

    def _write_uses(self) -> None:
        used, self._used = self._used, {}
        if not used:
            return
        try:
            self._book().note_use(used)
        except (StorageError, SQLAlchemyError) as error:
            # It is a convenience for people; the next use is written down again.
            log.warning("the use of keys could not be written down: %s", type(error).__name__)

    def _book(self) -> KeyBook:
        with self._opening:
            if self._database is None:
                self._database = Database.open(self._url)
            return KeyBook(self._database)
