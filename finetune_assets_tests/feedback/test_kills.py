"""kill -9 at named points of record, ingest, correct and consume: what was acknowledged is there, once, and adds up."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from finetune_assets.feedback.counting import case_counts, rate_in
from finetune_assets.feedback.error_report import ErrorReport
from finetune_assets.feedback.prediction_store import PredictionStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import CaseCorrectionRow, CaseEventRow
from finetune_assets_tests.feedback.making import START, book, note
from finetune_assets_tests.feedback.worker import DOUBTED, POINTS, RECORDS, VERSION, records, wanted_of
from finetune_assets_tests.storage.databases import DATABASES, fresh_url

ROOT = Path(__file__).resolve().parents[2]
FULL = 1_050


class Trials:
    """The warm parent of the workers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.parent = subprocess.Popen(
            [sys.executable, "-m", "finetune_assets_tests.feedback.worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, work: str, folder: Path, seed: int, point: str = "") -> int:
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        order = {"work": work, "folder": str(folder), "seed": seed, "point": point}
        self.parent.stdin.write(json.dumps(order) + "\n")
        self.parent.stdin.flush()
        return int(self.parent.stdout.readline())

    def close(self) -> None:
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.close()
        self.parent.wait()
        self.parent.stdout.close()


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    made = Trials(tmp_path_factory.mktemp("kills"))
    yield made
    made.close()


def told(folder: Path) -> list[str]:
    path = folder / "told"
    return path.read_text().split() if path.exists() else []


def killed(trials: Trials, work: str, folder: Path, seed: int, point: str) -> bool:
    code = trials.run(work, folder, seed, point)
    assert code in (0, -signal.SIGKILL), f"{work} at {point}: {code}"
    return code != 0


def require_records(folder: Path, seed: int) -> None:
    """Every acknowledged record is there, as it was, and in exactly one day's window, whatever the clock did."""
    store = PredictionStore(folder / "predictions.db")
    made = {item.request_id: item for item in records(seed)}
    found = {name: store.find(name) for name in made}
    assert all(found[name] == made[name] for name in told(folder))
    written = sum(item is not None for item in found.values())
    days = [START + timedelta(days=day) for day in range(-3, 4)]
    counts = [store.count("childcare", day, day + timedelta(days=1)) for day in days]
    assert sum(counts) == written == store.totals("childcare")["kept"]


def require_sums(db: Database) -> None:
    """Every case is in one state, was opened once, and its events lead from each state to the next."""
    counts = case_counts(db, "childcare")
    found = list(book(db).cases("childcare"))
    assert sum(counts.states.values()) == counts.opened == len(found)
    with db.reading() as session:
        events = list(session.scalars(select(CaseEventRow).order_by(CaseEventRow.id)))
    state: dict[int, str] = {}
    for event in events:
        assert state.get(event.case_id, "") == event.from_state
        state[event.case_id] = event.to_state
    assert state == {case.case_id: case.state for case in found}


def trial(trials: Trials, work: str, point: str, seed: int, kind: str = "sqlite") -> bool:
    folder = trials.root / f"{kind} {work} {seed} {point}".replace(" ", "_")
    folder.mkdir()
    with fresh_url(kind, folder) as url:
        (folder / "database").write_text(url)
        db = Database(url)
        try:
            return tried(trials, work, point, seed, folder, db)
        finally:
            db.close()
            shutil.rmtree(folder)


def tried(trials: Trials, work: str, point: str, seed: int, folder: Path, db: Database) -> bool:
    if work != "record":
        assert trials.run("record", folder, seed) == 0
        (folder / "told").unlink()
    if work in ("correct", "consume"):
        assert trials.run("ingest", folder, seed) == 0
    if work == "consume":
        assert trials.run("correct", folder, seed) == 0
        (folder / "told").unlink()
        (folder / "wanted.json").write_text(json.dumps(wanted_of(list(book(db).cases("childcare")))))
        copy = ErrorReport("childcare", "feedback", key="copy", input=records(seed)[DOUBTED - 1].input, answer="other")
        book(db).report([copy], at=START)
    died = killed(trials, work, folder, seed, point)
    if work == "record":
        require_records(folder, seed)
    else:
        require_sums(db)
    {"record": again_record, "ingest": again_ingest, "correct": again_correct, "consume": again_consume}[work](
        trials, folder, seed, db
    )
    return died


def again_record(trials: Trials, folder: Path, seed: int, db: Database) -> None:
    assert trials.run("record", folder, seed) == 0
    require_records(folder, seed)
    assert set(told(folder)) == {item.request_id for item in records(seed)}


def again_ingest(trials: Trials, folder: Path, seed: int, db: Database) -> None:
    assert trials.run("ingest", folder, seed) == 0
    require_sums(db)
    assert [case.request_id for case in book(db).cases("childcare", ["new"])] == [
        f"r{number}" for number in range(DOUBTED, RECORDS + 1, DOUBTED)
    ]
    store = PredictionStore(folder / "predictions.db")
    rate = rate_in(db, store, "childcare", START - timedelta(days=3), START + timedelta(days=3))
    assert (rate.errors, rate.predictions) == (RECORDS // DOUBTED, RECORDS)


def again_correct(trials: Trials, folder: Path, seed: int, db: Database) -> None:
    corrected = {str(case.case_id) for case in book(db).cases("childcare", ["corrected"])}
    assert set(told(folder)) <= corrected
    assert trials.run("correct", folder, seed) == 0
    require_sums(db)
    found = list(book(db).cases("childcare"))
    assert all((case.state, case.correction) == ("corrected", f"right {case.request_id}") for case in found)
    with db.reading() as session:
        assert len(list(session.scalars(select(CaseCorrectionRow)))) == len(found)


def again_consume(trials: Trials, folder: Path, seed: int, db: Database) -> None:
    meanwhile = ErrorReport("childcare", "feedback", key="late", input={"text": note(99)}, answer="x", correction="y")
    (late,) = book(db).report([meanwhile], at=START)
    assert trials.run("consume", folder, seed) == 0
    require_sums(db)
    states = Counter((case.state, case.dataset_version) for case in book(db).cases("childcare"))
    assert states == {("consumed", VERSION): RECORDS // DOUBTED, ("corrected", ""): 1, ("dismissed", ""): 1}
    case = book(db).find(late)
    assert case is not None
    assert case.state == "corrected"


@pytest.mark.slow
@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.parametrize("work", POINTS)
def test_nothing_acknowledged_is_lost_or_doubled(trials: Trials, work: str, kind: str) -> None:
    if work == "record" and kind != "sqlite":
        pytest.skip("predictions are in a file of their own")
    for number, point in enumerate(POINTS[work]):
        assert trial(trials, work, point, number, kind), point


@pytest.mark.soak
def test_a_thousand_kills(trials: Trials) -> None:
    draw = random.Random(6)
    deaths = 0
    for seed in range(100, 100 + FULL):
        work = draw.choice(sorted(POINTS))
        point = draw.choice(POINTS[work]).partition("#")[0]
        kind = draw.choice(DATABASES) if work != "record" else "sqlite"
        deaths += trial(trials, work, f"{point}#{draw.randint(1, 6)}", seed, kind)
    assert deaths >= 0.8 * FULL
