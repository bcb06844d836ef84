"""Which request shall fail, and how: status, delay, cut connection, an answer that is lost after the commit.

A fault is `{match, status | delay_s | cut | kill, when, times, skip, probability, seed, headers, message}`:

* `match` is a regular expression searched in `METHOD /path?query`.
* `status` answers that code, before the work or with `when: "after_commit"` after it.
* `cut: "before" | "after_commit"` closes the connection before or after the work.
* `kill: "before" | "after_commit"` ends the stand-in's process with SIGKILL (never a test's own process).
* `delay_s` waits first, or with `when: "after_commit"` between the work and the answer.
* `times` ends it, `skip` lets that many requests pass, `probability` with `seed` fires by a fixed sequence.

Counts are durable: a fault that was used up stays so after a restart.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from finetune_assets_tests.fakes.vertex_store import Store
from finetune_assets_tests.fakes.vertex_wire import STATUS_OF_HTTP, ApiError, Json

KNOWN = {
    "match",
    "status",
    "delay_s",
    "cut",
    "when",
    "times",
    "skip",
    "probability",
    "seed",
    "headers",
    "message",
    "kill",
}


@dataclass
class Verdict:
    """What happens to one request."""

    delay_before_s: float = 0.0
    delay_after_s: float = 0.0
    cut: str = ""
    kill: str = ""
    error: ApiError | None = None
    after_commit: bool = False
    headers: Json = field(default_factory=dict)


def check_faults(specs: list[Json]) -> None:
    """Refuse a fault that would never do what it says.

    Raises:
        ValueError: An unknown key, a bad pattern or a wrong word.
    """
    for spec in specs:
        unknown = sorted(set(spec) - KNOWN)
        if unknown or not {"status", "delay_s", "cut", "kill"} & set(spec):
            raise ValueError(f"a fault needs status, delay_s or cut and knows {sorted(KNOWN)}; unknown: {unknown}")
        for key in ("cut", "kill", "when"):
            if spec.get(key, "before") not in {"before", "after_commit"}:
                raise ValueError(f"{key} is before or after_commit, not {spec[key]!r}")
        re.compile(spec.get("match", ""))


def _fires(spec: Json, seen: int, hits: int) -> bool:
    if seen < spec.get("skip", 0) or hits >= spec.get("times", 1_000_000_000):
        return False
    chance = spec.get("probability", 1.0)
    return chance >= 1.0 or random.Random(f"{spec.get('seed', 0)}:{seen}").random() < chance  # a test's dice


def judge(store: Store, method: str, target: str) -> Verdict:
    """Return what shall happen to a request, and count it. Delays add up; the first error or cut wins."""
    verdict = Verdict()
    line = f"{method} {target}"
    with store.lock:
        hit = [fault for fault in store.faults() if re.search(fault[1].get("match", ""), line)]
        if not hit:
            return verdict
        with store.transaction():
            for number, spec, seen, hits in hit:
                fires = _fires(spec, seen, hits) and not (verdict.cut or verdict.error)
                store.count_fault(number, seen + 1, hits + int(fires))
                if fires:
                    _apply(spec, verdict)
    return verdict


def _apply(spec: Json, verdict: Verdict) -> None:
    late = spec.get("when") == "after_commit"
    if late:
        verdict.delay_after_s += spec.get("delay_s", 0.0)
    else:
        verdict.delay_before_s += spec.get("delay_s", 0.0)
    verdict.headers.update(spec.get("headers", {}))
    verdict.kill = spec.get("kill", verdict.kill)
    if "cut" in spec:
        verdict.cut = spec["cut"]
    elif "status" in spec:
        code = int(spec["status"])
        word = STATUS_OF_HTTP.get(code, "UNKNOWN")
        verdict.error = ApiError(code, spec.get("message", f"Injected fault: {word.lower()}"), word)
        verdict.after_commit = late
