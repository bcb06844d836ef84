from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_assets.feedback import prediction_windows
from finetune_assets.feedback.config import FeedbackConfig
from finetune_assets.feedback.prediction_rows import COLUMNS, PLACES, SHARES, row_of
from finetune_assets.feedback.prediction_store import PredictionStore
from finetune_assets.feedback.recorder import (
    DuplicateRequestError,
    OverloadedError,
    PredictionRecorder,
    RecorderClosedError,
)
from finetune_assets.feedback.window import MAX_INPUTS
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.errors import StorageError
from finetune_assets_tests.feedback.making import NAMES, START, doubted, note, prediction

DAY = timedelta(days=1)


def test_a_record_comes_back_as_it_was(store: PredictionStore) -> None:
    made = [prediction(1), doubted(2, outcome="broken_off"), prediction(3, valid=False, label_path=())]
    with PredictionRecorder(store) as recorder:
        for item in made:
            recorder.record(item).result(10)
    assert [store.find(item.request_id) for item in made] == made
    assert store.find("another") is None


def test_only_digests_are_kept_where_yaml_says_so(store: PredictionStore) -> None:
    config = FeedbackConfig(inputs="digest", answers="digest")
    hidden = prediction(1, config=config)
    assert (hidden.input, hidden.answer) == (None, None)
    assert hidden.input_digest == prediction(1).input_digest
    store.append([hidden])
    assert all(note(1).encode() not in path.read_bytes() for path in store.path.parent.glob("predictions.db*"))


def test_many_wait_for_one_sync(store: PredictionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = []
    commit = store.commit
    monkeypatch.setattr(store, "commit", lambda connection: (time.sleep(0.02), commits.append(1), commit(connection)))

    async def ask() -> None:
        await asyncio.gather(*(recorder.recorded(prediction(number)) for number in range(200)))

    with PredictionRecorder(store, max_batch=100) as recorder:
        asyncio.run(ask())
    assert store.totals("childcare")["kept"] == 200
    assert len(commits) <= 6


def test_it_refuses_more_than_it_can_hold_and_loses_nothing(
    store: PredictionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    commit = store.commit
    monkeypatch.setattr(store, "commit", lambda connection: (gate.wait(10), commit(connection)))
    recorder = PredictionRecorder(store, max_batch=1, max_waiting=3)
    taken, refused = [], 0
    for number in range(20):
        try:
            taken.append(recorder.record(prediction(number)))
        except OverloadedError:
            refused += 1
    assert 3 <= len(taken) <= 5
    gate.set()
    recorder.close()
    assert all(done.result(0) is None for done in taken)
    assert store.totals("childcare")["kept"] == len(taken) == 20 - refused
    with pytest.raises(RecorderClosedError):
        recorder.record(prediction(99))
    recorder.close()


def test_a_failing_disk_is_told_to_who_waits_and_the_next_one_is_recorded(
    store: PredictionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = store.commit

    def full(connection: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with PredictionRecorder(store) as recorder:
        monkeypatch.setattr(store, "commit", full)
        with pytest.raises(StorageError, match="full"):
            recorder.record(prediction(1)).result(10)
        monkeypatch.setattr(store, "commit", commit)
        recorder.record(prediction(2)).result(10)
    assert (store.find("r1"), store.find("r2")) == (None, prediction(2))


def test_a_bug_in_the_writer_leaves_nobody_waiting(store: PredictionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> list[int]:
        raise ZeroDivisionError

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    recorder = PredictionRecorder(store)
    monkeypatch.setattr(store, "append", broken)
    with pytest.raises(RecorderClosedError):
        recorder.record(prediction(1)).result(10)
    assert not recorder.alive
    recorder.close()


def test_one_request_id_is_one_record(store: PredictionStore) -> None:
    with PredictionRecorder(store) as recorder:
        recorder.record(prediction(1)).result(10)
        recorder.record(prediction(1)).result(10)
        with pytest.raises(DuplicateRequestError):
            recorder.record(prediction(1, answer="another")).result(10)
    assert store.append([prediction(2), prediction(2, answer="another")]) == [1]
    assert store.totals("childcare") == {"kept": 2, "forgotten": 0, "pruned": 0}


def test_the_facts_of_a_window(store: PredictionStore) -> None:
    items = [prediction(n, at=START + timedelta(seconds=n), label_path=("a", str(n % 3))) for n in range(30)]
    random.Random(1).shuffle(items)
    store.append([*items, prediction(77, task="other"), prediction(78, label_path=())])
    facts = store.facts("childcare", START, START + timedelta(seconds=30))
    assert (facts.predictions, facts.labels) == (31, {"a / 0": 10, "a / 1": 10, "a / 2": 10})
    assert facts.inputs["words"] == [14.0] * 31
    assert store.facts("childcare", START + DAY, START + 2 * DAY).inputs == {}
    assert store.count("childcare", START, START + timedelta(seconds=1)) == 2


def test_the_sample_of_a_large_window_is_bounded_and_the_same_in_any_order(tmp_path: Path) -> None:
    numbers = list(range(6_500))
    found = []
    for seed in (1, 2):
        random.Random(seed).shuffle(numbers)
        store = PredictionStore(tmp_path / f"{seed}.db")
        store.append([prediction(number, fields={"text": "x" * (number % 997)}) for number in numbers])
        found.append(store.facts("childcare", START, START + DAY).inputs["characters"])
    assert found[0] == found[1]
    assert len(found[0]) == MAX_INPUTS
    assert sum(found[0]) / MAX_INPUTS == pytest.approx(498, rel=0.05)


@pytest.mark.slow
def test_a_window_of_100_000_predictions_is_read_in_a_second(store: PredictionStore) -> None:
    made = prediction(1)
    for first in range(0, 100_000, 10_000):
        store.append([replace(made, request_id=f"q{number}") for number in range(first, first + 10_000)])
    began = time.perf_counter()
    assert store.facts("childcare", START - DAY, START + DAY).predictions == 100_000
    assert time.perf_counter() - began < 1.0


def test_pruning_keeps_the_sums_and_moves_the_horizon(store: PredictionStore) -> None:
    store.append([prediction(number, at=START + number * DAY) for number in range(10)])
    assert store.horizon("childcare") is None
    assert store.prune("childcare", START + 10 * DAY, 5) == 5
    assert store.prune("childcare", START + 10 * DAY, 5) == 0
    assert store.totals("childcare") == {"kept": 5, "forgotten": 0, "pruned": 5}
    assert store.horizon("childcare") == START + 5 * DAY
    with pytest.raises(FinetuneError, match="at least a day"):
        store.prune("childcare", START, 0)


def test_forgetting_leaves_digests_and_no_text_in_any_file(store: PredictionStore) -> None:
    store.append([prediction(number) for number in range(9)])
    person = NAMES.subject("child 1")
    before = store.find("r4")
    assert before is not None
    assert store.forget(person) == 3
    assert store.forget(person) == 0
    after = store.find("r4")
    assert after is not None
    assert (after.input, after.answer, after.subject) == (None, None, "")
    assert (after.input_digest, after.answer_digest, after.label) == (
        before.input_digest,
        before.answer_digest,
        before.label,
    )
    assert store.totals("childcare") == {"kept": 9, "forgotten": 3, "pruned": 0}
    files = b"".join(path.read_bytes() for path in store.path.parent.glob("predictions.db*"))
    assert note(4).encode() not in files
    assert note(5).encode() in files


def test_times_are_aware_and_requests_have_ids() -> None:
    with pytest.raises(FinetuneError, match="aware"):
        prediction(1, at=datetime(2026, 1, 1))
    with pytest.raises(FinetuneError, match="request id"):
        prediction(1, request_id="")


def test_a_file_of_a_newer_version_is_refused(store: PredictionStore) -> None:
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(StorageError, match="newer"):
        PredictionStore(store.path)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    path.write_bytes(b"no database at all" * 500)
    with pytest.raises(StorageError, match="no database"):
        PredictionStore(path)


@settings(max_examples=25)
@given(st.data())
def test_a_window_is_what_counting_every_row_gives(data: st.DataObject) -> None:
    hours = st.integers(min_value=0, max_value=4 * 3600 * 1000).map(lambda count: START + timedelta(milliseconds=count))
    labels = st.sampled_from([("a",), ("a", "b"), ()])
    rows = [
        prediction(number, at=at, label_path=label)
        for number, (at, label) in enumerate(data.draw(st.lists(st.tuples(hours, labels), max_size=25)))
    ]
    since, until = sorted((data.draw(hours), data.draw(hours)))
    with tempfile.TemporaryDirectory() as folder:
        store = PredictionStore(Path(folder) / "predictions.db")
        store.append(rows)
        store.append(rows)
        kept = rows
        if data.draw(st.booleans()):
            cut = data.draw(hours)
            store.prune("childcare", cut + DAY, 1)
            kept = [row for row in rows if row.at >= cut]
        inside = [row for row in kept if since <= row.at < until]
        facts = store.facts("childcare", since, until)
        assert facts.predictions == store.count("childcare", since, until) == len(inside)
        assert facts.labels == dict(sorted(Counter(row.label for row in inside if row.label).items()))
        assert sorted(facts.inputs.get("words", ())) == sorted((row.features or {})["words"] for row in inside)


def test_a_sample_out_of_an_index_of_few_rows_is_the_sample_of_all(tmp_path: Path) -> None:
    store = PredictionStore(tmp_path / "predictions.db")
    rows = [prediction(number, fields={"text": "x" * (number % 997)}) for number in range(2_000)]
    store.append(rows)
    places = {row.request_id: row_of(row)[COLUMNS.index("place")] for row in rows}
    first = sorted(rows, key=lambda row: places[row.request_id])[:20]
    expected = [(row.features or {})["characters"] for row in first]
    for share in (1, *SHARES):
        # As many rows as have such a share of places take the index of that share.
        total = int(1.1 * MAX_INPUTS * share) + 1
        with store.connected() as connection:
            whole = ("childcare", 0, 1 << 62)
            found = [row[0] for row in prediction_windows._sample(connection, whole, total)][:20]
        among = [
            value for row, value in zip(first, expected, strict=True) if places[row.request_id] < PLACES / share / 1.1
        ]
        assert found[: len(among)] == among, share


def test_a_file_of_an_earlier_version_is_added_up_once(tmp_path: Path) -> None:
    store = PredictionStore(tmp_path / "predictions.db")
    store.append([prediction(number, at=START + timedelta(hours=number)) for number in range(5)])
    with sqlite3.connect(store.path) as connection:
        for name in ("TRIGGER tally_more", "TRIGGER tally_less", "TABLE tally", "INDEX predictions_share_8"):
            connection.execute(f"DROP {name}")
        connection.execute("PRAGMA user_version=1")
    for _ in range(2):
        again = PredictionStore(store.path)
        assert again.count("childcare", START, START + DAY) == 5
    assert again.prune("childcare", START + DAY + timedelta(hours=2), 1) == 2
    assert again.count("childcare", START - DAY, START + DAY) == 3
