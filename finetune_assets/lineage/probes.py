"""The forgetting probes: what right answers to general questions cost the candidate and the baseline."""

from collections.abc import Sequence
from pathlib import Path

from finetune_assets.evaluation.forgetting import Probe, ProbeCost, compare_costs, read_probes, shipped_probes
from finetune_assets.evaluation.gates.probe_rules import Forgetting
from finetune_assets.lineage.asking import Room, engine_of, model_key
from finetune_assets.lineage.contenders import Contender
from finetune_assets.records.digests import digest_of
from finetune_assets.storage.files import read_json, write_json_atomic

PROBES = "probe_costs"
_BATCH = 32


def forgetting(room: Room, candidate: Contender, baseline: Contender) -> Forgetting | None:
    """Return what the probes show, None where YAML asks for none."""
    rule = room.task.config.evaluation.forgetting
    if rule is None or candidate.is_elsewhere or baseline.is_elsewhere:
        return None  # a provider gives no likelihoods; the gate says so
    probes = read_probes(room.task.folder / rule.probes) if rule.probes else shipped_probes()
    room.say(f"{len(probes)} general probes: scoring the {candidate.name} and the {baseline.name}")
    ours, theirs = (_costs(room, model, probes) for model in (candidate, baseline))
    settings = room.task.config.evaluation.settings
    return compare_costs(ours, theirs, settings)


def _costs(room: Room, model: Contender, probes: Sequence[Probe]) -> list[ProbeCost]:
    """Return what each right answer costs one model, measured now or kept from before."""
    task = room.task
    key = digest_of({"model": model_key(room, model), "probes": digest_of([probe.to_json() for probe in probes])})[:20]
    known = task.artifacts.find(PROBES, key)
    if known:
        return _read(known.file("costs.json"))
    engine = engine_of(room, model)
    found: list[ProbeCost] = []
    for start in range(0, len(probes), _BATCH):
        part = probes[start : start + _BATCH]
        scored = engine.log_likelihood([(list(probe.messages), probe.answer) for probe in part])
        found += [ProbeCost.of(likelihood, probe.answer) for likelihood, probe in zip(scored, part, strict=True)]
    with task.artifacts.create(PROBES, key) as staging:
        write_json_atomic(staging.path / "costs.json", [[cost.bits, cost.bytes] for cost in found])
        # The last digits of likelihoods differ between machines.
        staging.commit({"task": task.task, "model": engine.identity}, outside_digest=["costs.json"])
    return found


def _read(place: Path) -> list[ProbeCost]:
    return [ProbeCost(bits, size) for bits, size in read_json(place)]
