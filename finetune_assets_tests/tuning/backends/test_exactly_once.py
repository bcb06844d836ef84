"""Proof that a job is submitted at most once and finished exactly once, whatever is killed and whatever fails."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import certifi
import pytest

from finetune_assets.storage.database import Database
from finetune_assets.storage.intents import events_of, find_run
from finetune_assets.storage.ledger import ledger_entries
from finetune_assets_tests.fakes.fixtures import PROJECT, ask, running_gcs
from finetune_assets_tests.fakes.vertex import VertexProcess, running_vertex
from finetune_assets_tests.fakes.vertex_fixtures import gemini_rows, put_rows
from finetune_assets_tests.storage.databases import DATABASES, fresh_url
from finetune_assets_tests.tuning.backends.jobs import GEMINI, cloud_config, job_request
from finetune_assets_tests.tuning.backends.worker import ERROR, POINTS, RESERVED, RESULT, Order, work

pytestmark = pytest.mark.slow

CREATE = r"POST .*/tuningJobs(\?|$)"
LOOK = r"GET .*/tuningJobs/"
LIST = r"GET .*/tuningJobs(\?|$)"
# Kills while a request is under way: the step before it, the fault that makes it slow, seconds until the kill.
IN_FLIGHT: tuple[tuple[str, dict[str, Any], float], ...] = (
    ("before create", {"match": CREATE, "delay_s": 0.06, "times": 1}, 0.03),
    ("before create", {"match": CREATE, "delay_s": 0.2, "when": "after_commit", "times": 1}, 0.05),
    ("before find", {"match": LIST, "delay_s": 0.2, "times": 1}, 0.05),
    ("before poll", {"match": LOOK, "delay_s": 0.2, "times": 1}, 0.05),
)
SAMPLE = 42
FULL = 1_050


@dataclass
class Place:
    """A running stand-in, the warm parent of all workers, and a database that all trials share."""

    root: Path
    vertex: VertexProcess
    database: Database
    parent: subprocess.Popen[str]

    def run(self, *orders: Order) -> list[int]:
        """Run workers side by side to their end and return their exit codes; negative is a signal's number."""
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.write(json.dumps([order.to_json() for order in orders]) + "\n")
        self.parent.stdin.flush()
        codes: list[int] = json.loads(self.parent.stdout.readline())
        return codes

    def faults(self, *faults: dict[str, Any]) -> None:
        """Replace the stand-in's faults; a plain request, for there are thousands."""
        ask(f"{self.vertex.url}/__faults", "POST", list(faults))

    def jobs(self, run_key: str) -> list[dict[str, Any]]:
        """Return every job that was ever made with a run key."""
        found = ask(f"{self.vertex.url}/__jobs")["jobs"]
        return [job for job in found if job["labels"].get("run_key") == run_key]

    def order(self, number: int, **more: Any) -> Order:
        folder = self.root / f"trial{number}"
        folder.mkdir(parents=True, exist_ok=True)
        return Order(folder, self.database.url, self.vertex.url, f"{number:08x}", **more)


@pytest.fixture(scope="module", params=DATABASES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("exactly_once")
    with fresh_url(request.param, root) as url:
        yield from running_place(root, Database.open(url))


def running_place(root: Path, database: Database) -> Iterator[Place]:
    with (
        running_gcs(root / "gcs") as gcs,
        running_vertex(root / "vertex", gcs.url, speed=3_000.0, tuning_quota=0) as vertex,
        worker_parent(root) as parent,
    ):
        gcs.bucket("bkt")
        put_rows(gcs, "datasets/d/train.jsonl", gemini_rows(20))
        put_rows(gcs, "datasets/d/validation.jsonl", gemini_rows(4, "other"))
        made = Place(root, vertex, database, parent)
        made.run(made.order(99_999_999))
        yield made
    database.close()


@contextmanager
def worker_parent(root: Path) -> Iterator[subprocess.Popen[str]]:
    # Each client loads every known certificate, which would take half of a trial; loopback needs none.
    first = root / "certificate.pem"
    end = "-----END CERTIFICATE-----\n"
    first.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
    command = [sys.executable, "-W", "ignore", "-m", work.__module__]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        env={**os.environ, "SSL_CERT_FILE": str(first)},
    ) as parent:
        yield parent
        assert parent.stdin is not None
        parent.stdin.close()


def request_of(order: Order) -> Any:
    return job_request(GEMINI, rows=order.rows, cloud=cloud_config())


def assert_exactly_once(place: Place, order: Order) -> None:
    """One job, one result, one reservation, one recorded success."""
    run_key = request_of(order).run_key
    jobs = place.jobs(run_key)
    assert [job["state"] for job in jobs] == ["JOB_STATE_SUCCEEDED"], jobs
    result = json.loads((order.folder / RESULT).read_text())
    assert not (order.folder / "second_result.json").exists()
    assert result["handle"] == jobs[0]["name"]
    assert result["model"]
    intent = find_run(place.database, run_key)
    assert intent is not None
    assert (intent.state, intent.handle) == ("SUCCEEDED", result["handle"])
    entries = [entry for entry in ledger_entries(place.database, "router") if entry.run_key == run_key]
    assert [(entry.kind, entry.amount) for entry in entries] == [("reserve", RESERVED)]
    ends = [event for event in events_of(place.database, intent.request_key) if event.to_state == "SUCCEEDED"]
    assert len(ends) == 1


def finish(place: Place, order: Order) -> None:
    assert place.run(replace(order, kill_at="")) == [0]
    assert not (order.folder / ERROR).exists(), (order.folder / ERROR).read_text()


def trial(place: Place, number: int, dice: random.Random) -> int:
    """Kill a worker one to three times, each time at another step, then let one finish; return the kills."""
    order = place.order(number, seed=number)
    kills = 0
    for _ in range(dice.choice((1, 1, 2, 3))):
        if dice.random() < 0.3:
            step, fault, after_s = dice.choice(IN_FLIGHT)
            place.faults(fault)
            (code,) = place.run(replace(order, kill_at=step, kill_after_s=after_s))
            place.faults()
        else:
            (code,) = place.run(replace(order, kill_at=dice.choice(POINTS)))
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
    finish(place, order)
    assert_exactly_once(place, order)
    return kills


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_each_point(place: Place, point: str) -> None:
    order = place.order(10_000_000 + POINTS.index(point))
    assert place.run(replace(order, kill_at=point)) == [-signal.SIGKILL]
    finish(place, order)
    assert_exactly_once(place, order)


@pytest.mark.parametrize("number", range(len(IN_FLIGHT)))
def test_a_kill_between_request_and_answer(place: Place, number: int) -> None:
    step, fault, after_s = IN_FLIGHT[number]
    order = place.order(11_000_000 + number)
    place.faults(fault)
    assert place.run(replace(order, kill_at=step, kill_after_s=after_s)) == [-signal.SIGKILL]
    place.faults()
    finish(place, order)
    assert_exactly_once(place, order)


def test_kills_at_random(place: Place) -> None:
    dice = random.Random(5)
    trials = SAMPLE if place.database.is_sqlite else SAMPLE // 3
    assert sum(trial(place, number, dice) for number in range(trials)) >= trials // 2


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_thousand_kills(place: Place) -> None:
    dice = random.Random()
    kills = 0
    for number in range(1_000_000, 1_000_000 + FULL):
        kills += trial(place, number, dice)
    print(f"{kills} kills in {FULL} trials, no duplicate")
    assert kills >= 1_000


def test_two_submitters_at_once(place: Place) -> None:
    for number in range(12_000_000, 12_000_004):
        order = place.order(number)
        assert place.run(order, order, order) == [0, 0, 0]
        assert_exactly_once(place, order)


def test_a_killed_service_loses_nothing(place: Place) -> None:
    order = place.order(13_000_000)
    assert place.run(replace(order, kill_at="after create")) == [-signal.SIGKILL]
    place.vertex.restart()
    finish(place, order)
    assert_exactly_once(place, order)


def storm(*, late: bool) -> list[dict[str, Any]]:
    """Faults of which at least one hits every second request, for as long as they last."""
    when = {"when": "after_commit"} if late else {}
    kinds: list[dict[str, Any]] = [{"status": status, **when} for status in (429, 503, 500, 504)]
    kinds += [{"cut": "after_commit" if late else "before"}]
    each = 1 - 0.5 ** (1 / len(kinds))
    return [{"match": "tuningJobs", "probability": each, "seed": seed, **kind} for seed, kind in enumerate(kinds)]


@pytest.mark.parametrize("late", [False, True], ids=["before", "after_commit"])
def test_a_storm_for_the_length_of_a_run(place: Place, late: bool) -> None:
    for number in range(5):
        order = place.order(14_000_000 + 100 * late + number, seed=number)
        place.faults(*storm(late=late))
        assert place.run(order) == [0]
        place.faults()
        # It finished, or stopped with a typed error that the next run goes on from.
        finish_after_storm(place, order)


def finish_after_storm(place: Place, order: Order) -> None:
    error = order.folder / ERROR
    if error.exists():
        assert error.read_text().split(":")[0] in ("AmbiguousError", "UnavailableError", "QuotaError", "DeadlineError")
        error.unlink()
    finish(place, order)
    assert_exactly_once(place, order)


def test_a_storm_of_timeouts(place: Place) -> None:
    # The service is slower than the client waits for, and does the work all the same.
    polling = (("first_s", 0.01), ("longest_s", 0.03), ("visibility_s", 0.5))
    order = place.order(15_000_000, timeout_s=0.25, polling=polling)
    slow = {"match": "tuningJobs", "probability": 0.5, "seed": 3, "delay_s": 0.4}
    place.faults(slow)
    assert place.run(order) == [0]
    place.faults()
    finish_after_storm(place, replace(order, timeout_s=20.0))
