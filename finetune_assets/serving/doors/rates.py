"""Rate limits: a token bucket for each caller and role, in this process."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from finetune_assets.serving.doors.refusals import too_often

_MOST_BUCKETS = 10_000
"""Buckets kept. The one that was used longest ago goes first: with a minute's bucket it is nearly always full again."""


class Rates:
    """How often callers may ask.

    A bucket holds a minute's requests and fills up evenly, so that a caller may come in a burst but not lastingly more
    often than the limit. Each gateway process counts for itself.

    Args:
        per_minute: requests a minute by what is counted; 0 sets no limit.
        clock: seconds that only grow, for tests.
    """

    def __init__(self, per_minute: Mapping[str, int], clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = dict(per_minute)
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def spend(self, kind: str, caller: str) -> None:
        """Count a request.

        Args:
            kind: what is counted, such as a role.
            caller: the key's id, or the address of a caller without one.

        Raises:
            ApiProblem: 429 with Retry-After when the caller's bucket is empty.
        """
        limit = self._per_minute[kind]
        if limit == 0:
            return
        now, name = self._clock(), (kind, caller)
        level, at = self._buckets.get(name, (float(limit), now))
        level = min(float(limit), level + (now - at) * limit / 60)
        if level < 1:
            raise too_often(max(1, math.ceil((1 - level) * 60 / limit)))
        self._buckets[name] = (level - 1, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
