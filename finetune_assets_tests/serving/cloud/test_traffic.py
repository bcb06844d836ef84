"""Traffic splits and idle endpoints: pure functions, so laws."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.serving.cloud.endpoint_state import Deployed, EndpointState, idle
from finetune_assets.serving.cloud.traffic import checked, scaled, with_newcomer, without
from finetune_assets.tuning.cloud.errors import RejectedError

SPLITS = st.dictionaries(st.sampled_from("123456789"), st.integers(0, 100), min_size=1, max_size=6)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def whole(weights: dict[str, int]) -> dict[str, int]:
    return scaled(weights, 100)


@given(SPLITS, st.integers(0, 100))
def test_shares_sum_to_what_they_have_together_and_keep_their_order(weights: dict[str, int], total: int) -> None:
    found = scaled(weights, total)
    assert sum(found.values()) == total
    assert min(found.values()) >= 0
    heaviest = max(weights, key=lambda key: weights[key])
    assert found[heaviest] >= max(found.values()) - 1


@given(SPLITS, st.integers(0, 100))
def test_a_newcomer_gets_its_share_and_nobody_without_gets_any(weights: dict[str, int], percent: int) -> None:
    current = whole(weights)
    found = with_newcomer(current, percent)
    assert sum(found.values()) == 100
    assert found["0"] == percent
    assert all(found[key] == 0 for key, share in current.items() if share == 0)


@given(SPLITS)
def test_who_leaves_leaves_a_whole(weights: dict[str, int]) -> None:
    current = whole(weights)
    leaver = min(current)
    found = without(current, leaver)
    assert leaver not in found
    assert sum(found.values()) == (100 if len(current) > 1 else 0)


def test_the_first_gets_all() -> None:
    assert with_newcomer({}, 10) == {"0": 100}
    assert with_newcomer({"1": 0}, 10) == {"0": 100, "1": 0}
    assert with_newcomer({"1": 90, "2": 10}, 10, newcomer="2") == {"2": 10, "1": 90}


@pytest.mark.parametrize("split", [{}, {"1": 99}, {"1": 101}, {"1": 200, "2": -100}, {"3": 100}])
def test_a_wrong_split_is_refused(split: dict[str, int]) -> None:
    with pytest.raises(RejectedError):
        checked(split, frozenset({"1", "2"}), "e")


def endpoint(name: str, *, created_h: float | None, replicas: int = 1) -> EndpointState:
    made = None if created_h is None else NOW - timedelta(hours=created_h)
    return EndpointState(name, deployed=(Deployed("1", "m", min_replicas=replicas, created=made),), created=made)


def test_idle_is_what_costs_and_nobody_asks() -> None:
    found = idle(
        [
            endpoint("asked", created_h=100),
            endpoint("long ago", created_h=100),
            endpoint("never", created_h=50),
            endpoint("new", created_h=1),
            endpoint("shared", created_h=100, replicas=0),
            EndpointState("empty", created=NOW - timedelta(hours=500)),
            endpoint("unknown age", created_h=None),
        ],
        {"asked": NOW - timedelta(hours=2), "long ago": NOW - timedelta(hours=30)},
        NOW,
        24.0,
    )
    assert [(item.endpoint.name, item.hours) for item in found] == [("never", 50.0), ("long ago", 30.0)]
    assert found[0].asked is None
