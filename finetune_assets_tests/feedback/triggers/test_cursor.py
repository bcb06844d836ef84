"""Ticks: repeated, reordered, with a lost or broken cursor, from two daemons, in storms and on a flapping rate."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_assets.feedback.triggers.cursor import VERSION, Asked, Cursor, read_cursor, tick
from finetune_assets.feedback.triggers.decision import Decision, ManualRequest, slot_of
from finetune_assets.feedback.triggers.policy import TriggerPolicy
from finetune_assets.feedback.window import Window
from finetune_assets_tests.feedback.triggers.made import DAY, HOUR, NOW, window

POLICY = TriggerPolicy()
LOUD: dict[str, Any] = {"open_cases": 500, "corrected_cases": 400}
BROKEN = [
    None,
    "",
    "null",
    "[]",
    "7",
    "{",
    '{"version":1}',
    '{"version":0,"seen":7}',
    '{"version":99}',
    "\x00",
    "{" * 9,
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_cursor_that_cannot_be_read_starts_anew(text: str | None) -> None:
    assert read_cursor(text, "childcare") == Cursor("childcare")
    cursor, decision = tick(text, window(**LOUD), POLICY, [])
    assert decision.fires
    assert json.loads(cursor)["version"] == VERSION


def test_a_cursor_comes_back_and_belongs_to_its_task() -> None:
    text, decision = tick(None, window(**LOUD), POLICY, [])
    kept = read_cursor(text, "childcare")
    assert kept.pending == decision
    assert kept.text() == text
    assert read_cursor(text, "speech") == Cursor("speech")


@given(st.text(max_size=60) | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(json.dumps))
@settings(max_examples=200, deadline=None)
def test_no_text_breaks_a_tick(text: str) -> None:
    assert tick(text, window(**LOUD), POLICY, [])[1].fires


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_damaged_field_breaks_a_tick(data: st.DataObject) -> None:
    value = json.loads(tick(None, window(**LOUD), POLICY, [])[0])
    field_name = data.draw(st.sampled_from(["pending", "last"]))
    odd = st.none() | st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=3) | st.just({"task": 1})
    value[field_name] = data.draw(odd | st.just("9999-12-31T23:59:59+00:00"))
    assert tick(json.dumps(value), window(**LOUD), POLICY, [])[1].task == "childcare"


def test_a_decision_beyond_every_clock_is_not_believed() -> None:
    far = tick(None, window(until=NOW + 900 * DAY, **LOUD), POLICY, [])[0]
    cursor, decision = tick(far, window(**LOUD), POLICY, [])
    assert decision.decided_at == NOW
    assert read_cursor(cursor, "childcare").pending == decision


def test_a_run_that_was_written_down_and_never_started_is_asked_for_again() -> None:
    first = tick(None, window(**LOUD), POLICY, [])[1]
    later = window(until=NOW + 30 * HOUR, in_flight=True, last_fired=first.decided_at, **LOUD)
    assert tick(None, later, POLICY, [Asked(first.key, first.decided_at, unlaunched=first)])[1] == first
    assert not tick(None, later, POLICY, [Asked(first.key, first.decided_at)])[1].fires


def test_a_decision_is_given_again_until_the_database_holds_it() -> None:
    cursor, first = tick(None, window(**LOUD), POLICY, [])
    later = window(until=NOW + HOUR, **(LOUD | {"open_cases": 600}))
    cursor, again = tick(cursor, later, POLICY, [])
    assert again == first
    cursor, after = tick(cursor, later, POLICY, [Asked(first.key, first.decided_at)])
    assert not after.fires
    assert after.reasons == ("cooling down until 2026-11-21 12:00 UTC",)
    assert read_cursor(cursor, "childcare").pending is None


def test_a_decision_is_not_given_again_beside_a_run_or_above_the_budget() -> None:
    cursor, _ = tick(None, window(**LOUD), POLICY, [])
    busy = window(until=NOW + HOUR, in_flight=True, **LOUD)
    assert not tick(cursor, busy, POLICY, [])[1].fires
    poor = window(until=NOW + HOUR, budget_usd=1.0, estimated_cost_usd=2.0, **LOUD)
    assert not tick(cursor, poor, POLICY, [])[1].fires


def test_a_decision_that_came_too_late_gives_way_to_a_newer_run() -> None:
    cursor, first = tick(None, window(**LOUD), POLICY, [])
    newer = Asked("of another daemon", first.decided_at + HOUR)
    cursor, after = tick(cursor, window(until=NOW + 2 * HOUR, **LOUD), POLICY, [newer])
    assert not after.fires
    assert read_cursor(cursor, "childcare").pending is None


def test_a_manual_request_is_answered_beside_a_pending_decision() -> None:
    cursor, _ = tick(None, window(**LOUD), POLICY, [])
    request = ManualRequest("now", "ada", "request-1")
    _, decision = tick(cursor, window(until=NOW + HOUR, **LOUD), POLICY, [], manual=request)
    assert decision.origin == "manual"
    assert decision.fires


@dataclass
class World:
    """A task's evidence, the database that remembers runs, and Dagster, which starts a run key once.

    A decision becomes a run in two steps: its row is written, in the place after the last run, which only one row
    takes; then the run is asked for by its key. Both may be done twice, and a crash may come before either.
    """

    chance: random.Random
    now: datetime = NOW
    rows: dict[str, Decision] = field(default_factory=dict)  # by run key
    runs: list[str] = field(default_factory=list)

    def asked(self) -> list[Asked]:
        """Return the rows, with the decision where no run of that key was started."""
        started = set(self.runs)
        return [Asked(key, row.decided_at, None if key in started else row) for key, row in self.rows.items()]

    def read(self) -> Window:
        """Return the window as the database has it now; its counts change from one look to the next."""
        last = max((row.decided_at for row in self.rows.values()), default=None)
        noise = self.chance.randrange(50)
        return window(
            until=self.now, last_fired=last, predictions=1000 + noise, open_cases=450 + noise, corrected_cases=400
        )

    def write(self, decision: Decision) -> None:
        last = max((row.decided_at for row in self.rows.values()), default=None)
        if decision.key not in self.rows and decision.slot == slot_of(decision.task, last):
            self.rows[decision.key] = decision

    def ask(self, decision: Decision) -> None:
        if decision.key in self.rows and decision.key not in self.runs:
            self.runs.append(decision.key)


def storm_of_ticks(ticks: int, seed: int) -> World:
    """Drive a world by ticks that are repeated, late, concurrent or crash, with cursors that are lost or old."""
    world = World(random.Random(seed))
    chance, cursors, windows = world.chance, [None], [world.read()]
    asked = world.asked()
    for _ in range(ticks):
        world.now += timedelta(minutes=chance.choice([0, 1, 5, 30]))
        if chance.random() < 0.7:
            windows.append(world.read())
        if chance.random() < 0.8:  # otherwise a daemon that read the database before the other wrote
            asked = world.asked()
        seen = windows[-1] if chance.random() < 0.6 else chance.choice(windows[-40:])
        cursor = chance.choice([cursors[-1], cursors[-1], cursors[-1], chance.choice(cursors[-40:]), *BROKEN[:4]])
        after, decision = tick(cursor, seen, POLICY, asked)
        crash = chance.choice(["none", "none", "none", "before", "between", "cursor lost"])
        if crash == "before":
            if chance.random() < 0.5:
                cursors.append(after)  # the worst of it: the cursor says fired, and nobody else knows
            continue
        if decision.fires:
            world.write(decision)
            if crash == "between":
                continue
            world.ask(decision)
        if crash != "cursor lost":
            cursors.append(after)
    return world


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 12))])
def test_ten_thousand_bad_ticks_make_as_many_runs_as_there_are_decisions(seed: int) -> None:
    world = storm_of_ticks(10_000, seed)
    world.ask(tick(None, world.read(), POLICY, world.asked())[1])  # the last may still be owed
    assert world.runs == list(world.rows), "each decision made one run, in order"
    moments = sorted(row.decided_at for row in world.rows.values())
    assert min(later - earlier for earlier, later in pairwise(moments)) >= DAY
    days = (world.now - NOW) / DAY
    assert days * 0.8 <= len(moments) <= days + 1, "decisions were lost, or made too often"


@dataclass
class Sensor:
    """One sensor on one task whose runs take an hour."""

    policy: TriggerPolicy = POLICY
    cursor: str | None = None
    fired: list[datetime] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def see(self, seen: Window) -> Decision:
        last = self.fired[-1] if self.fired else None
        ended = [at + HOUR for at in self.fired if at + HOUR < seen.until]
        seen = replace(
            seen,
            last_fired=last,
            last_finished=ended[-1] if ended else None,
            in_flight=len(ended) < len(self.fired),
        )
        asked = [Asked(key, at) for key, at in zip(self.keys, self.fired, strict=True)]
        self.cursor, decision = tick(self.cursor, seen, self.policy, asked)
        if decision.fires:
            self.fired.append(decision.decided_at)
            self.keys.append(decision.key)
        return decision


def test_a_storm_of_a_million_errors_a_minute_makes_one_run_per_cool_down() -> None:
    sensor = Sensor()
    for minute in range(3 * 24 * 60):
        errors = min(1_000_000 * (minute + 1), 10**10)
        sensor.see(
            window(
                until=NOW + timedelta(minutes=minute),
                predictions=errors,
                errors=errors,
                open_cases=errors,
                corrected_cases=errors // 2,
            )
        )
    assert len(sensor.fired) == 3  # the cool-down of 24 h starts anew when a run ends, an hour after it was asked for
    assert min(b - a for a, b in pairwise(sensor.fired)) >= 25 * HOUR


@pytest.mark.parametrize("cool_down_h", [1.0, 6.0, 24.0, 100.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_rate_that_flaps_around_the_threshold_fires_as_often_as_the_arithmetic_allows(
    cool_down_h: float, seed: int
) -> None:
    sensor = Sensor(TriggerPolicy(fire_when="error_rate", cool_down_h=cool_down_h))
    chance, days = random.Random(seed), 20
    for half_hour in range(days * 48):
        errors = chance.choice([1400, 1500, 1550, 1600, 1700])  # of 10,000; the bound crosses 0.15 at about 1,560
        sensor.see(window(until=NOW + half_hour * HOUR / 2, predictions=10_000, errors=errors))
    assert len(sensor.fired) <= days * 24 // (cool_down_h + 1) + 1
    assert len(sensor.fired) >= 0.8 * days * 24 // (cool_down_h + 2)


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_clock_jumps_of_a_day_never_make_a_second_run_within_a_cool_down_of_real_time(jump: timedelta) -> None:
    for back_at in range(1, 60):
        sensor, real = Sensor(), []
        for hour in range(80):
            shown = NOW + hour * HOUR + (jump if 10 <= hour < 10 + back_at else timedelta(0))
            if sensor.see(window(until=shown, **LOUD)).fires:
                real.append(hour)
        # A clock set forward ends a cool-down early by as much as it jumped, once; it never opens two at a time.
        assert len(real) <= 80 // 25 + 2
        assert len(set(sensor.keys)) == len(sensor.keys)
