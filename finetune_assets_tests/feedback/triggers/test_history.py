"""What is written down of decisions: it comes back, says nothing twice, and adds up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from finetune_assets.feedback.triggers.decide import decide
from finetune_assets.feedback.triggers.decision import ManualRequest
from finetune_assets.feedback.triggers.history import (
    TriggerRecord,
    decision_of,
    record_of,
    summarise,
    worth_writing,
)
from finetune_assets.feedback.triggers.policy import TriggerPolicy
from finetune_assets.records.digests import canonical_json
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.feedback_models import TriggerEventRow
from finetune_assets_tests.feedback.triggers.made import NOW, window

POLICY = TriggerPolicy()
WAITS = decide(window(), POLICY)
FIRES = decide(window(open_cases=500, corrected_cases=400, estimated_cost_usd=1.25, errors=400), POLICY)
BY_HAND = decide(window(), POLICY, manual=ManualRequest("a new taxonomy", "ada", "request-1"))


@pytest.mark.parametrize("decision", [WAITS, FIRES, BY_HAND])
def test_a_record_comes_back_with_its_decision(decision) -> None:  # type: ignore[no-untyped-def]
    record = record_of(decision)
    assert canonical_json(record.to_json())
    assert TriggerRecord.from_json(record.to_json()) == record
    assert decision_of(record) == decision


def test_a_record_is_a_row_of_the_table() -> None:
    columns = {column.name for column in TriggerEventRow.__table__.columns}
    assert set(record_of(FIRES).to_json()) == columns - {"id"}
    assert (record_of(FIRES).cost, record_of(FIRES).by, record_of(BY_HAND).by) == (1_250_000, "policy", "ada")
    assert record_of(WAITS).run_key is None


@pytest.mark.parametrize("change", [{"kind": "end"}, {"run_key": None}, {"at": "yesterday"}, {"cost": "much"}])
def test_a_record_of_another_shape_is_refused(change: dict[str, str | None]) -> None:
    with pytest.raises(FinetuneError):
        TriggerRecord.from_json({**record_of(FIRES).to_json(), **change})


def test_a_database_may_give_a_naive_moment() -> None:
    value = {**record_of(FIRES).to_json(), "at": NOW.replace(tzinfo=None)}
    assert TriggerRecord.from_json(value) == record_of(FIRES)


def test_waiting_for_the_same_is_written_once() -> None:
    later = record_of(decide(window(until=NOW + timedelta(minutes=1), open_cases=11), POLICY))
    cooling = record_of(decide(window(last_fired=NOW), POLICY))
    stricter = record_of(decide(window(), TriggerPolicy(min_error_cases=200)))
    assert worth_writing(None, later)
    assert not worth_writing(record_of(WAITS), later)
    assert worth_writing(record_of(WAITS), cooling)
    assert worth_writing(record_of(WAITS), stricter)
    assert worth_writing(record_of(FIRES), later)
    assert worth_writing(record_of(WAITS), record_of(FIRES))


def test_a_history_adds_up() -> None:
    cooling = decide(window(last_fired=NOW, open_cases=500, corrected_cases=400), POLICY)
    found = summarise(record_of(decision) for decision in (WAITS, FIRES, cooling, BY_HAND))
    assert (found.decisions, found.fired, found.manual) == (4, 2, 1)
    assert found.by_rule == {"corrected_cases": 1, "error_cases": 1, "error_rate": 1}
    assert found.waited_for == {"cool_down": 1, "rules": 1}
    assert (found.cost_usd, found.unpriced) == (1.25, 1)
