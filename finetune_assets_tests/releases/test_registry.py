from __future__ import annotations

import dataclasses
from datetime import UTC

import pytest

from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.registry import Release
from finetune_assets.storage.database import Database
from finetune_assets_tests.releases.conftest import TASK, Desk, said
from finetune_assets_tests.storage.processes import finish, says, spawn


def test_versions_count_within_a_task(desk: Desk) -> None:
    assert [desk.add(name).version for name in "abc"] == [1, 2, 3]
    other = desk.register(
        "java", "a", base_model="b", request_key="r", dataset_digest="d", report_key="k", report_digest="x", scores={}
    )
    assert (other.version, other.artifact_key, other.state) == (1, "", "candidate")
    assert [release.candidate for release in desk.releases(TASK)] == ["a", "b", "c"]
    assert desk.release(TASK, "d") is None
    assert desk.release("java", "b") is None


def test_the_same_candidate_on_the_same_report_is_the_same_row(desk: Desk) -> None:
    first = desk.add("a")
    assert desk.add("a", request_key="ignored") == first
    assert desk.release(TASK, "a") == first
    assert first.scores == {"exact": 0.5}
    assert first.created_at.tzinfo is UTC
    (event,) = desk.events(first.id)
    assert (event.from_state, event.to_state, event.by) == ("", "candidate", "report")


@pytest.mark.parametrize("state", ["candidate", "validated", "approved", "rejected", "retired"])
def test_another_report_takes_the_old_decisions_away(desk: Desk, state: str) -> None:
    release = desk.add("a")
    if state == "retired":
        desk.deploy("a")
        desk.deploy("b")
    elif state == "rejected":
        desk.transition(release.id, "rejected", by="gate")
    elif state != "candidate":
        desk.transition(release.id, "validated", by="gate")
        if state == "approved":
            desk.transition(release.id, "approved", by="ann")
    assert desk.state("a") == state
    again = desk.add("a", report_digest="another", scores={"exact": 0.9}, run_id="run-2")
    assert (again.id, again.version, again.state) == (release.id, 1, "candidate")
    assert (again.report_digest, again.scores) == ("another", {"exact": 0.9})
    if state != "candidate":
        assert desk.events(release.id)[-1].note == "judged anew"


def test_a_live_release_stays_as_it_was_deployed(desk: Desk) -> None:
    live = desk.deploy("a")
    again = desk.add("a", report_digest="another", artifact_key="another")
    assert again == Release(**{field.name: getattr(live, field.name) for field in dataclasses.fields(Release)})
    with pytest.raises(FinetuneError, match="keeps its manifest"):
        desk.attach_manifest(live.id, "another")
    assert desk.attach_manifest(live.id, live.artifact_key).artifact_key == live.artifact_key
    assert desk.live(TASK) == live


def test_a_report_without_manifest_keeps_the_known_one(desk: Desk) -> None:
    release = desk.add("a")
    assert desk.add("a", report_digest="another", artifact_key="").artifact_key == "manifest of a"
    assert desk.attach_manifest(release.id, "newer").artifact_key == "newer"


def test_no_deploy_without_manifest(desk: Desk) -> None:
    release = desk.add("a", artifact_key="")
    desk.transition(release.id, "validated", by="gate")
    desk.transition(release.id, "approved", by="ann")
    with pytest.raises(FinetuneError, match="no manifest"):
        desk.move_pointer(TASK, release.id, expected_seq=0, action="deploy", by="ann")
    desk.attach_manifest(release.id, "key")
    assert desk.move_pointer(TASK, release.id, expected_seq=0, action="deploy", by="ann").artifact_key == "key"


def test_a_deploy_retires_its_predecessor(desk: Desk) -> None:
    assert desk.live(TASK) is None
    first = desk.deploy("a")
    assert (first.seq, first.version, first.state, first.deployed_by, first.action) == (1, 1, "live", "ann", "deploy")
    second = desk.deploy("b")
    assert desk.live(TASK) == second
    assert second.seq == 2
    assert desk.states() == {"a": "retired", "b": "live"}
    assert [(move.release_id, move.previous_release_id, move.action, move.run_id) for move in desk.history(TASK)] == [
        (first.id, None, "deploy", "run"),
        (second.id, first.id, "deploy", "run"),
    ]


def test_live_all_speaks_of_every_task(desk: Desk) -> None:
    assert desk.live_all() == {}
    childcare = desk.deploy("a")
    release = desk.register(
        "java",
        "a",
        base_model="b",
        request_key="r",
        dataset_digest="d",
        report_key="k",
        report_digest="x",
        scores={},
        artifact_key="m",
    )
    desk.transition(release.id, "validated", by="gate")
    desk.transition(release.id, "approved", by="ann")
    java = desk.move_pointer("java", release.id, expected_seq=0, action="deploy", by="ann")
    assert desk.live_all() == {"childcare": childcare, "java": java}
    assert desk.live("speech") is None


@pytest.mark.parametrize("expected", [0, 1, 3])
def test_a_pointer_that_moved_is_one_line_and_stays(desk: Desk, expected: int) -> None:
    desk.deploy("a")
    live = desk.deploy("b")
    release = desk.approved("c")
    with pytest.raises(FinetuneError, match="pointer moved") as caught:
        desk.move_pointer(TASK, release.id, expected_seq=expected, action="deploy", by="ann")
    assert "\n" not in str(caught.value)
    assert desk.live(TASK) == live
    assert desk.states() == {"a": "retired", "b": "live", "c": "approved"}


def test_moving_to_what_is_live_changes_nothing(desk: Desk) -> None:
    live = desk.deploy("a")
    events = desk.events(live.id)
    assert desk.move_pointer(TASK, live.id, expected_seq=0, action="deploy", by="else") == live
    assert len(desk.history(TASK)) == 1
    assert desk.events(live.id) == events


def test_another_tasks_release_is_refused(desk: Desk) -> None:
    release = desk.approved("a")
    with pytest.raises(FinetuneError, match="another task"):
        desk.move_pointer("java", release.id, expected_seq=0, action="deploy", by="ann")
    assert desk.live("java") is None


def test_before_is_what_a_candidate_replaced(desk: Desk) -> None:
    assert desk.before(TASK, "a") is None
    first = desk.deploy("a")
    assert desk.before(TASK, "a") is None
    desk.deploy("b")
    replaced = desk.before(TASK, "b")
    assert replaced is not None
    assert (replaced.candidate, replaced.seq, replaced.deployed_at) == ("a", first.seq, first.deployed_at)
    desk.deploy("c")
    desk.roll_back()  # b is live again, by a rollback: what it replaced when deployed is still a
    again = desk.before(TASK, "b")
    assert again is not None
    assert again.candidate == "a"


DEPLOYS = """
    import sys
    from finetune_assets.records.errors import FinetuneError
    from finetune_assets.releases.registry import Registry
    from finetune_assets.storage.database import Database
    registry, who, won = Registry(Database.open(sys.argv[1])), sys.argv[2], 0
    print("go", flush=True)
    sys.stdin.readline()
    for number in range(20):
        name = f"{who}-{number}"
        live = registry.live("t")
        release = registry.register("t", name, base_model="b", request_key="r", dataset_digest="d", report_key="k",
                                    report_digest="x", scores={}, artifact_key="m")
        registry.transition(release.id, "validated", by=who)
        registry.transition(release.id, "approved", by=who)
        try:
            seq = live.seq if live else 0
            moved = registry.move_pointer("t", release.id, expected_seq=seq, action="deploy", by=who)
        except FinetuneError as error:
            assert "pointer moved" in str(error), error
        else:
            assert moved.seq == seq + 1
            won += 1
    print(won)
    """


def test_two_processes_never_make_the_same_move(db: Database, desk: Desk) -> None:
    processes = [spawn(DEPLOYS, db.url, who) for who in ("first", "second")]
    for process in processes:
        says(process, "go")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    won = [int(finish(process)) for process in processes]
    moves = desk.history("t")
    assert [move.seq for move in moves] == list(range(1, sum(won) + 1))
    assert [move.previous_release_id for move in moves[1:]] == [move.release_id for move in moves[:-1]]
    releases = desk.releases("t")
    assert [release.version for release in releases] == list(range(1, 41))
    assert [release.id for release in releases if release.state == "live"] == [moves[-1].release_id]
    assert sum(release.state == "retired" for release in releases) == len(moves) - 1


def test_what_was_rolled_back_needs_a_person(db: Database, desk: Desk) -> None:
    desk.deploy("a")
    bad = desk.deploy("b")
    said(db, "b", bad.report_digest)
    desk.roll_back()
    assert desk.states() == {"a": "live", "b": "rolled_back"}

    # The next run finds everything as before: the same candidate, the same report.
    assert desk.add("b").state == "rolled_back"
    said(db, "b", bad.report_digest, approver="policy:automatic", authenticated=False, policy="automatic")
    with pytest.raises(FinetuneError, match="rolled back"):
        desk.transition(bad.id, "approved", by="policy")
    said(db, "b", bad.report_digest, pointer_seq=2)
    with pytest.raises(FinetuneError, match="rolled back"):  # the approval from before the rollback does not count
        desk.transition(bad.id, "approved", by="policy")
    # Nor does another report bring it back by itself, on whatever way.
    assert desk.add("b", report_digest="another").state == "rolled_back"
    desk.transition(bad.id, "candidate", by="policy")
    desk.transition(bad.id, "validated", by="gate")
    with pytest.raises(FinetuneError, match="a person's approval"):
        desk.transition(bad.id, "approved", by="policy")

    said(db, "b", "not this report")
    with pytest.raises(FinetuneError, match="rolled back"):
        desk.transition(bad.id, "approved", by="ann")
    said(db, "b", "another", "reject")
    with pytest.raises(FinetuneError, match="rolled back"):
        desk.transition(bad.id, "approved", by="ann")
    said(db, "b", "another", note="mended")
    assert desk.transition(bad.id, "approved", by="ann").state == "approved"
    live = desk.move_pointer(TASK, bad.id, expected_seq=3, action="deploy", by="ann")
    assert (live.candidate, live.seq) == ("b", 4)


def test_a_person_approves_a_rolled_back_release_directly(db: Database, desk: Desk) -> None:
    desk.deploy("a")
    bad = desk.deploy("b")
    desk.roll_back()
    said(db, "b", bad.report_digest)
    assert desk.transition(bad.id, "approved", by="ann").state == "approved"


def test_scores_that_json_cannot_hold_are_refused(desk: Desk) -> None:
    with pytest.raises(ValueError, match="JSON"):
        desk.add("a", scores={"exact": float("nan")})
    assert desk.releases(TASK) == []
