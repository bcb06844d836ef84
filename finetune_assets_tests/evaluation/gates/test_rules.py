"""The single rules at their edges: limits, rows, time, probes, slices, and what a configuration refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from finetune_assets.evaluation.answers import ScoredAnswer
from finetune_assets.evaluation.config import ForgettingConfig, GateConfig, LatencyConfig
from finetune_assets.evaluation.forgetting import ProbeCost, compare_costs, read_probes, shipped_probes
from finetune_assets.evaluation.gates.evidence import Evidence, GateResult, gather
from finetune_assets.evaluation.gates.limits import ceiling_gate, floor_gate
from finetune_assets.evaluation.gates.probe_rules import Forgetting, forgetting_gate
from finetune_assets.evaluation.gates.row_rules import latency_gate, per_sample_gate
from finetune_assets.evaluation.gates.rules import improvement_gate, slices_gate
from finetune_assets.evaluation.gates.verdict import Extras, gate_names, verdict_of
from finetune_assets.evaluation.report.build import Contender, Judgement, ReportContext, build_report
from finetune_assets.evaluation.statistics.comparison import Settings
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.measure import Measure
from finetune_assets_tests.evaluation.rows import MEASURES, answers_of, judge, two_models

F1 = Measure("token_f1", "token F1", "mean")
WER = Measure("wer", "word error rate", "rate", higher_is_better=False)
WORSE = Measure("worsened", "made worse", "share", higher_is_better=False)


def _double(sums: Any) -> Any:
    return sums[..., 0] / sums[..., 2]


BLEU = Measure("bleu", "BLEU", "corpus", width=3, finish=_double)
FREE = (F1, WER, WORSE, BLEU)


def config(**changes: Any) -> GateConfig:
    return GateConfig.model_validate({"resamples": 200, "forgetting": None, "beat": ()} | changes)


def row(number: int, f1: float, slices: tuple[str, ...] = (), reference: str | None = None) -> ScoredAnswer:
    """A free-text row of ten words: wrong words, worse or not, BLEU counts, all by its token F1."""
    wrong = round(10 * (1 - f1))
    stats = {"token_f1": (f1, 1.0), "wer": (float(wrong), 10.0), "worsened": (float(f1 < 0.3), 1.0)}
    stats |= {"bleu": (10.0 * f1, 0.0, 10.0)}  # type: ignore[dict-item]
    notes = {"references": {"*": reference or str(number)}}
    name = f"r{number:04d}"
    return ScoredAnswer(name, name, (), (), True, True, "", f1 == 1, slices, stats=stats, notes=notes)


def evidence(ours: list[float], theirs: list[float], rules: GateConfig | None = None, **more: Any) -> Evidence:
    slices = more.pop("slices", [()] * len(ours))
    reference = more.pop("reference", None)
    rows = [
        [row(number, f1, part, reference) for number, (f1, part) in enumerate(zip(side, slices, strict=True))]
        for side in (ours, theirs)
    ]
    return gather(rows[0], rows[1], rules or config(), FREE, **more)


HALF = [0.0] * 10 + [0.7] * 90


@pytest.mark.parametrize(
    ("metric", "floor", "verdict"),
    [
        ("token_f1", 0.55, "PASS"), ("token_f1", 0.62, "INCONCLUSIVE"), ("token_f1", 0.64, "FAIL"),
        ("bleu", 0.55, "PASS"), ("bleu", 0.62, "INCONCLUSIVE"), ("bleu", 0.64, "FAIL"),
        ("coverage", 0.9, "PASS"), ("parse_rate", 1.0, "INCONCLUSIVE"), ("correct", 0.1, "FAIL"),
    ],
)  # fmt: skip
def test_floors(metric: str, floor: float, verdict: str) -> None:
    found = floor_gate(metric, floor, evidence(HALF, HALF), config())
    assert (found.verdict, found.threshold) == (verdict, floor)
    assert found.interval is not None


@pytest.mark.parametrize(
    ("metric", "ceiling", "verdict"),
    [
        ("wer", 0.45, "PASS"), ("wer", 0.38, "INCONCLUSIVE"), ("wer", 0.36, "FAIL"),
        ("worsened", 0.2, "PASS"), ("worsened", 0.12, "INCONCLUSIVE"), ("worsened", 0.05, "FAIL"),
    ],
)  # fmt: skip
def test_ceilings(metric: str, ceiling: float, verdict: str) -> None:
    found = ceiling_gate(metric, ceiling, evidence(HALF, HALF), config())
    assert found.verdict == verdict
    assert (found.more_rows_needed is not None) <= (verdict == "INCONCLUSIVE")


def test_thirty_perfect_rows_prove_no_perfect_model() -> None:
    perfect = evidence([1.0] * 30, [0.5] * 30)
    assert floor_gate("token_f1", 0.9, perfect, config()).verdict == "PASS"
    assert floor_gate("token_f1", 0.95, perfect, config()).verdict == "INCONCLUSIVE"
    assert ceiling_gate("wer", 0.05, perfect, config()).verdict == "INCONCLUSIVE"


def test_limits_by_slice_look_at_the_slice_alone() -> None:
    parts = [("day",)] * 50 + [("night",)] * 50
    found = evidence([0.9] * 50 + [0.2] * 50, [0.5] * 100, slices=parts)
    limits = config(
        floor_by_slice={"day": {"token_f1": 0.8}, "night": {"token_f1": 0.8}, "dusk": {"token_f1": 0.1}},
        ceiling_by_slice={"night": {"wer": 0.1}},
    )
    gates = {gate.name: gate.verdict for gate in verdict_of(found, limits).gates if ":" in gate.name}
    assert gates == {
        "floor:day/token_f1": "PASS",
        "floor:dusk/token_f1": "INCONCLUSIVE",
        "floor:night/token_f1": "FAIL",
        "ceiling:night/wer": "FAIL",
    }


def test_a_figure_against_one_constant_is_refused_wherever_it_stands() -> None:
    found = evidence([1.0] * 60, [0.0] * 60, reference="one sentence")
    assert found.meaningless.keys() == {"token_f1", "wer", "worsened", "bleu"}
    assert floor_gate("token_f1", 0.1, found, config()).verdict == "INCONCLUSIVE"
    assert ceiling_gate("wer", 0.9, found, config()).verdict == "INCONCLUSIVE"
    verdict = verdict_of(found, config())
    assert (verdict.verdict, verdict.gates[0].verdict) == ("INCONCLUSIVE", "INCONCLUSIVE")
    assert "means nothing" in verdict.gates[0].reason


def _per_sample(losses: list[float]) -> GateResult:
    rules = config(per_sample={})
    (found,) = per_sample_gate(evidence([0.8 - loss for loss in losses], [0.8] * len(losses)), rules)
    return found


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([0.01] * 10, "PASS"),  # a loss that equals the limit is no worse row
        ([0.02] + [0.0] * 9, "PASS"),  # 10 % exactly
        ([0.02] * 2 + [0.0] * 17, "FAIL"),
        ([0.5] + [0.0] * 19, "PASS"),
        ([0.51] + [0.0] * 99, "FAIL"),
        ([-0.2] * 10, "PASS"),
    ],
)
def test_limits_on_single_rows(losses: list[float], verdict: str) -> None:
    found = _per_sample(losses)
    assert found.verdict == verdict
    assert bool(found.records) == (verdict == "FAIL")


def test_limits_on_single_rows_need_rows() -> None:
    assert _per_sample([]).verdict == "INCONCLUSIVE"
    by_corpus = evidence([0.8] * 40, [0.8] * 40, config(primary="bleu"))
    assert per_sample_gate(by_corpus, config(per_sample={}))[0].verdict == "INCONCLUSIVE"
    assert per_sample_gate(by_corpus, config()) == []


@pytest.mark.parametrize(
    ("rule", "ours", "theirs", "verdict"),
    [
        ({"p95_s": 2.0}, [1.0] * 20, [], "PASS"),
        ({"p95_s": 2.0}, [1.0] * 18 + [9.0] * 2, [], "FAIL"),
        ({"p95_s": 2.0}, [], [], "INCONCLUSIVE"),
        ({"max_ratio": 1.5}, [1.4] * 20, [1.0] * 20, "PASS"),
        ({"max_ratio": 1.5}, [1.6] * 20, [1.0] * 20, "FAIL"),
        ({"max_ratio": 1.5}, [1.6] * 20, [], "INCONCLUSIVE"),
    ],
)
def test_latency(rule: dict[str, float], ours: list[float], theirs: list[float], verdict: str) -> None:
    assert latency_gate(ours, theirs, LatencyConfig.model_validate(rule))[0].verdict == verdict
    assert latency_gate(ours, theirs, None) == []


def _costs(bits: list[float]) -> list[ProbeCost]:
    return [ProbeCost(value, 10) for value in bits]


@pytest.mark.parametrize(
    ("ours", "verdict", "replay"), [(20.2, "PASS", 0.05), (26.0, "FAIL", 0.10), (70.0, "FAIL", 0.5)]
)
def test_forgetting(ours: float, verdict: str, replay: float) -> None:
    found = compare_costs(_costs([ours] * 60), _costs([20.0] * 60), Settings(resamples=200))
    assert found is not None
    assert found.replay_share == replay
    for blocking in (False, True):
        rule = ForgettingConfig.model_validate({"blocking": blocking})
        (gate,) = forgetting_gate(found, rule)
        assert (gate.verdict, gate.advisory) == (verdict, not blocking)
        assert ("general rows mixed in" in gate.reason) == (verdict == "FAIL")
        extras = Extras(forgetting=found)
        passed = judge(*two_models(60, 0, 60), config(forgetting=rule.model_dump()), extras=extras).verdict
        assert passed == ("FAIL" if blocking and verdict == "FAIL" else "PASS")


def test_forgetting_that_cannot_be_told() -> None:
    rule = ForgettingConfig.model_validate({"blocking": True})
    assert forgetting_gate(None, None) == []
    assert forgetting_gate(None, rule)[0].verdict == "INCONCLUSIVE"
    unsure = Forgetting(60, 2.2, 2.0, 0.1, (0.02, 0.18), 0.05)
    assert forgetting_gate(unsure, rule)[0].verdict == "INCONCLUSIVE"
    assert compare_costs([], [], Settings()) is None
    certain = compare_costs(_costs([0.0] * 40), _costs([0.0] * 40), Settings(resamples=200))
    assert certain is not None
    assert certain.rise == 0.0


@pytest.mark.parametrize("text", ["", "\n\n", "no json", '{"question": "Why?"}', '{"answer": "x", "messages": []}'])
def test_probes_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "probes.jsonl").write_text(text)
    with pytest.raises(FinetuneError, match="prob"):
        read_probes(tmp_path / "probes.jsonl")
    with pytest.raises(FinetuneError, match="cannot be read"):
        read_probes(tmp_path / "missing.jsonl")


def test_probes_are_read(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"question": "Why?", "answer": "So.", "kind": "reason"}\n\n')
    (probe,) = read_probes(tmp_path / "p.jsonl")
    assert (probe.messages[0]["content"], probe.answer, probe.kind) == ("Why?", "So.", "reason")
    assert len(shipped_probes()) >= 200


def test_not_worse_holds_against_a_live_release_only() -> None:
    rules = config(against_baseline="not_worse", margin=0.05)
    same = [0.5, 0.7] * 200
    live, base = evidence(same, same, baseline_is_live=True), evidence(same, same)
    assert improvement_gate(live, rules).verdict == "PASS"
    assert improvement_gate(base, rules).verdict == "INCONCLUSIVE"
    worse = evidence([f1 - 0.1 for f1 in same], same, baseline_is_live=True)
    assert improvement_gate(worse, rules).verdict == "FAIL"
    few = evidence(same[:40], same[:40], baseline_is_live=True)
    found = improvement_gate(few, rules)
    assert found.verdict == "INCONCLUSIVE"
    assert found.more_rows_needed is not None


def test_slices_either_show_that_they_hold_or_that_no_loss_is_shown() -> None:
    parts = [("day",)] * 300 + [("night",)] * 30
    found = evidence([0.6] * 330, [0.6] * 330, slices=parts)
    strict = slices_gate(found, config(slice_min_rows=20))
    assert strict.verdict == "INCONCLUSIVE"
    assert strict.more_by_slice.keys() == {"night"}
    assert strict.more_rows_needed == strict.more_by_slice["night"] > 0
    assert slices_gate(found, config(slice_rule="not_shown_worse")).verdict == "PASS"
    assert slices_gate(found, config()).verdict == "PASS"
    lost = evidence([0.6] * 300 + [0.2] * 30, [0.6] * 330, slices=parts)
    for rule in ("non_inferior", "not_shown_worse"):
        assert slices_gate(lost, config(slice_rule=rule)).verdict == "FAIL"


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"floor": {"wer": 0.1}}, "other way"),
        ({"ceiling": {"token_f1": 0.1}}, "other way"),
        ({"floor_by_slice": {"day": {"wer": 0.1}}}, "other way"),
        ({"floor": {"colour": 0.1}}, "unknown metric"),
        ({"floor": {"macro_f1": 0.1}}, "unknown metric"),
        ({"ceiling_by_slice": {"day": {"colour": 0.1}}}, "unknown metric"),
        ({"primary": "colour"}, "unknown metric"),
    ],
)
def test_limits_on_what_is_not_there_are_refused(bad: dict[str, Any], told: str) -> None:
    with pytest.raises(FinetuneError, match=told) as caught:
        config(**bad).check_metrics(FREE, labelled=False)
    assert caught.value.mend


@pytest.mark.parametrize(
    "bad",
    [
        {"suites": [{"name": "old", "path": "a"}, {"name": "old", "path": "b"}]},
        {"latency": {}},
        {"suites": [{"name": "Old Cases", "path": "a"}]},
        {"per_sample": {"max_share": 1.5}},
    ],
)
def test_bad_sections_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**bad)


_metrics = st.dictionaries(st.sampled_from(["exact", "domain", "macro_f1", "correct", "coverage"]), st.floats(0, 1))


@settings(max_examples=40, deadline=None)
@given(
    floor=_metrics,
    by_slice=st.dictionaries(st.sampled_from(["day", "night"]), _metrics),
    beat=st.lists(st.sampled_from(["majority", "nearest", "tfidf_logreg"]), unique=True),
    names=st.lists(st.sampled_from(["old", "edge", "hard"]), unique=True),
    optional=st.sets(st.sampled_from(["per_sample", "critical", "forgetting"])),
    latency=st.booleans(),
)
def test_every_gate_that_a_configuration_names_is_judged(
    floor: Any, by_slice: Any, beat: Any, names: Any, optional: Any, latency: bool
) -> None:
    sections: dict[str, Any] = {name: {} for name in optional}
    if latency:
        sections["latency"] = {"p95_s": 1.0}
    suites = [{"name": name, "path": f"{name}.jsonl"} for name in names]
    rules = config(floor=floor, floor_by_slice=by_slice, beat=beat, suites=suites, **sections)
    rows = [answers_of([True, False] * 20, slices=[("day",)] * 40) for _ in range(2)]
    for trivial in (None, {}, {"majority": rows[0]}):
        found = verdict_of(gather(rows[0], rows[1], rules, MEASURES, trivial=trivial), rules)
        assert [gate.name for gate in found.gates] == gate_names(rules)


def test_a_report_on_free_text_has_all_figures_and_no_labels() -> None:
    rules = config(primary="wer")
    found = evidence([0.9, 0.8] * 30, [0.7, 0.8] * 30, rules)
    ours, theirs = ([pair[side] for pair in found.pairs] for side in (0, 1))
    judgement = Judgement(ours, theirs, None, found, Extras(), verdict_of(found, rules))
    context = ReportContext("speech", ("kind",))
    report = build_report(context, judgement, Contender("new", ()), Contender("base", ()), rules)
    again = build_report(context, judgement, Contender("new", ()), Contender("base", ()), rules)
    assert report == again
    assert report["confusion"] is None
    assert report["worst_labels"] == []
    assert report["comparison"]["test"].startswith("one-sided sign-flip")
    assert report["comparison"]["t_test_p_two_sided"] < 0.001
    assert {item["measure"] for item in report["comparisons"]} == {"token_f1", "worsened", "bleu"}
    figures = report["scores"]["candidate"]["measures"]
    assert figures["wer"]["value"] == pytest.approx(0.15)
    assert figures["bleu"]["interval_95"][0] < figures["bleu"]["value"] < figures["bleu"]["interval_95"][1]
    assert report["scores"]["candidate"]["macro_f1"] is None


def test_rows_of_one_record_keep_their_own_losses_in_the_report() -> None:
    found = evidence([0.1, 0.9] + [1.0] * 40, [0.9, 0.9] + [1.0] * 40)
    pairs = tuple((replace(one, record_id="same"), replace(other, record_id="same")) for one, other in found.pairs)
    found = replace(found, pairs=pairs)
    ours, theirs = ([pair[side] for pair in pairs] for side in (0, 1))
    judgement = Judgement(ours, theirs, None, found, Extras(), verdict_of(found, config()))
    report = build_report(ReportContext("t", ()), judgement, Contender("a", ()), Contender("b", ()), config())
    assert [item["loss"] for item in report["worst_rows"]] == [pytest.approx(0.8), 0.0]
