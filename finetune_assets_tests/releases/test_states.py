from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.states import DEPLOYABLE, STATES, TRANSITIONS, may_become
from finetune_assets.storage.database import Database
from finetune_assets.storage.models import ReleaseRow
from finetune_assets_tests.releases.conftest import TASK, Desk, said

# Written out once more by hand: the table in the code may not change without this one.
LEGAL = {
    ("candidate", "validated"),
    ("candidate", "approved"),
    ("candidate", "rejected"),
    ("validated", "approved"),
    ("validated", "rejected"),
    ("validated", "candidate"),
    ("approved", "shadow"),
    ("approved", "canary"),
    ("approved", "rejected"),
    ("approved", "candidate"),
    ("shadow", "canary"),
    ("shadow", "rejected"),
    ("shadow", "candidate"),
    ("canary", "rejected"),
    ("canary", "rolled_back"),
    ("canary", "candidate"),
    ("retired", "candidate"),
    ("rejected", "candidate"),
    ("rolled_back", "candidate"),
    ("rolled_back", "approved"),
}


def put(db: Database, release_id: int, state: str) -> None:
    with db.session() as session:
        session.execute(update(ReleaseRow).where(ReleaseRow.id == release_id).values(state=state))


def test_the_states_are_those_of_the_design() -> None:
    assert set(STATES) == set(TRANSITIONS)
    assert STATES == (
        "candidate",
        "validated",
        "approved",
        "shadow",
        "canary",
        "live",
        "retired",
        "rejected",
        "rolled_back",
    )


def by_person(db: Database, *, report: str = "report of c", **changes: Any) -> None:
    said(db, "c", report, **changes)


@pytest.mark.parametrize("source", STATES)
def test_every_step_is_taken_or_refused(db: Database, desk: Desk, source: str) -> None:
    release = desk.add("c")
    by_person(db)
    for target in STATES:
        put(db, release.id, source)
        before = desk.events(release.id)
        assert may_become(source, target) == ((source, target) in LEGAL)
        if (source, target) in LEGAL:
            assert desk.transition(release.id, target, by="ann", note="why", run_id="run").state == target  # type: ignore[arg-type]
            (event,) = desk.events(release.id)[len(before) :]
            assert (event.from_state, event.to_state, event.by, event.note, event.run_id) == (
                source,
                target,
                "ann",
                "why",
                "run",
            )
        elif source == target:
            assert desk.transition(release.id, target, by="ann").state == source  # type: ignore[arg-type]
            assert desk.events(release.id) == before
        else:
            with pytest.raises(FinetuneError, match=f"{source} cannot become {target}") as caught:
                desk.transition(release.id, target, by="ann")  # type: ignore[arg-type]
            assert "\n" not in str(caught.value)
            assert "childcare version 1" in str(caught.value)
            assert desk.events(release.id) == before
        put(db, release.id, source)


@pytest.mark.parametrize(
    "said", [None, {"policy": "automatic"}, {"authenticated": False}, {"report": "an earlier report"}]
)
def test_only_a_known_person_takes_on_what_no_gate_validated(
    db: Database, desk: Desk, said: dict[str, Any] | None
) -> None:
    release = desk.add("c")
    if said is not None:
        by_person(db, **said)
    with pytest.raises(FinetuneError, match="candidate cannot become approved"):
        desk.transition(release.id, "approved", by="ann")
    assert desk.state("c") == "candidate"
    by_person(db)
    assert desk.transition(release.id, "approved", by="ann").state == "approved"


@pytest.mark.parametrize("state", STATES)
def test_only_approved_states_are_deployed(db: Database, desk: Desk, state: str) -> None:
    release = desk.add("c")
    put(db, release.id, state)
    if state in DEPLOYABLE:
        live = desk.move_pointer(TASK, release.id, expected_seq=0, action="deploy", by="ann")
        assert (live.state, live.seq) == ("live", 1)
    else:
        with pytest.raises(FinetuneError, match="may not be deployed"):
            desk.move_pointer(TASK, release.id, expected_seq=0, action="deploy", by="ann")
        assert desk.live(TASK) is None
        assert desk.state("c") == state


@pytest.mark.parametrize("state", STATES)
def test_what_was_never_live_is_no_target_for_a_rollback(db: Database, desk: Desk, state: str) -> None:
    desk.deploy("good")
    release = desk.add("c")
    put(db, release.id, state)
    with pytest.raises(FinetuneError, match="no target for a rollback"):
        desk.move_pointer(TASK, release.id, expected_seq=1, action="rollback", by="ann")
    assert desk.seq() == 1


def test_an_unknown_release_is_one_line(desk: Desk) -> None:
    with pytest.raises(FinetuneError, match="no such release"):
        desk.transition(99, "validated", by="ann")
