"""Probing a gateway: recorded questions over HTTP, and whether the right release gives the recorded answers.

What a probe finds is evidence; whether anything becomes live is decided elsewhere.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from finetune_assets.releases.manifest import Probe, ProbeRule, ReleaseManifest
from finetune_assets.task_types import task_type_from_manifest

if TYPE_CHECKING:
    import httpx

    from finetune_assets.records.task_type import ParsedAnswer


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One recorded question, asked again.

    Attributes:
        position: the probe's place in the manifest, from 0.
        passed: True when the right release gave the recorded answer.
        expected: the recorded label path.
        found: the label path that was answered.
        candidate: who answered, "" when nobody did.
        problem: what differs, "" when nothing does.
        latency_ms: milliseconds for the whole request.
    """

    position: int
    passed: bool
    expected: tuple[str, ...]
    found: tuple[str, ...]
    candidate: str
    problem: str
    latency_ms: float


@dataclass(frozen=True, slots=True)
class ProbeEvidence:
    """What a probe of a gateway found. It holds labels and ids, never texts.

    Attributes:
        task: the task asked.
        candidate: the release that should have answered.
        results: one for each recorded question.
    """

    task: str
    candidate: str
    results: tuple[ProbeResult, ...]

    @property
    def passed(self) -> bool:
        """True when there was a question and every one was answered as recorded."""
        return bool(self.results) and all(result.passed for result in self.results)

    @property
    def summary(self) -> str:
        """One line for people."""
        failed = [result for result in self.results if not result.passed]
        line = (
            f"{len(self.results) - len(failed)} of {len(self.results)} recorded answers given by {self.candidate[:12]}"
        )
        return f"{line}; first problem: {failed[0].problem}" if failed else line

    def to_json(self) -> dict[str, Any]:
        """Return the evidence as JSON."""
        return {**asdict(self), "passed": self.passed, "summary": self.summary}


def probe_release(url: str, manifest: ReleaseManifest, *, timeout_s: float = 30.0) -> ProbeEvidence:
    """Ask a gateway a release's recorded questions.

    Args:
        url: the gateway's address.
        manifest: the release that should answer, with its probes.
        timeout_s: seconds for each request.

    Returns:
        What was found; a gateway that cannot be reached or refuses is a failed probe, no exception.
    """
    import httpx

    task_type = task_type_from_manifest(manifest.task_type)
    # A proxy of the environment has no business between us and a gateway on this machine.
    with httpx.Client(base_url=url, timeout=timeout_s, trust_env=False) as client:
        results = tuple(
            _ask(client, manifest, position, probe, task_type.parse(probe.text))
            for position, probe in enumerate(manifest.probes)
        )
    return ProbeEvidence(manifest.task, manifest.candidate, results)


def _ask(
    client: httpx.Client, manifest: ReleaseManifest, position: int, probe: Probe, recorded: ParsedAnswer
) -> ProbeResult:
    import httpx

    began = time.perf_counter()
    body: dict[str, Any] = {}
    try:
        response = client.post(f"/v1/tasks/{manifest.task}/predict", json={"fields": probe.fields})
        body = response.json()
        problem = "" if response.status_code == 200 else f"HTTP {response.status_code}: {body.get('detail', '')}"
    except (httpx.TransportError, ValueError) as error:
        problem = f"no answer: {error or type(error).__name__}"
    took = (time.perf_counter() - began) * 1000
    candidate = str(body.get("release", {}).get("candidate", ""))
    found = tuple(body.get("label_path", ()))
    expected = probe.label_path or recorded.label_path
    if not problem and candidate != manifest.candidate:
        problem = f"candidate {candidate[:12]} answered"
    if not problem:
        same = body["answer"] == recorded.value
        problem = difference(manifest.probe_rule, recorded, expected, found, valid=bool(body["valid"]), same=same)
    return ProbeResult(position, not problem, expected, found, candidate, problem, round(took, 3))


def difference(
    rule: ProbeRule,
    recorded: ParsedAnswer,
    expected: tuple[str, ...],
    found: tuple[str, ...],
    *,
    valid: bool,
    same: bool,
) -> str:
    """Return how a live answer differs from the recorded one, as a line for people; "" when it agrees by the rule.

    Args:
        rule: what counts as agreeing; see `ReleaseManifest.probe_rule`.
        recorded: the answer that the report saw.
        expected: its label path.
        found: the label path that was answered.
        valid: whether the live answer is a legal one.
        same: whether all its fields are the recorded ones.
    """
    agrees = {
        "exact": same and valid == recorded.valid and found == expected,
        "label": valid and found == expected,
        "valid": valid,
    }[rule]
    if agrees:
        return ""
    return f"answered {' / '.join(found) or 'nothing valid'}, recorded {' / '.join(expected) or 'nothing valid'}"
