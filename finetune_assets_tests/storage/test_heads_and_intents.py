from __future__ import annotations

from typing import Any, get_args

import pytest

from finetune_assets.storage import stages
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.heads import Head, Restore, advance_head, current_head, namespaces, version_history
from finetune_assets.storage.intents import (
    INTENT_STATES,
    INTENT_TRANSITIONS,
    IntentState,
    find_intent,
    mark,
    open_intents,
    record_intent,
)
from finetune_assets_tests.storage.processes import finish, says, spawn


def advance(db: Database, expected: int | None, digest: str, **changes: str) -> Head:
    values: dict[str, Any] = {"inputs_key": f"in-{digest}", "artifact_key": f"art-{digest}", "digest": digest} | changes
    return advance_head(db, "childcare", "main", expected_number=expected, **values)


def test_heads_count_up_from_one(db: Database) -> None:
    assert current_head(db, "childcare", "main") is None
    first = advance(db, None, "a")
    assert (first.number, first.digest, first.inputs_key, first.artifact_key) == (1, "a", "in-a", "art-a")
    second = advance(db, 1, "b")
    assert second.number == 2
    assert current_head(db, "childcare", "main") == second
    assert advance(db, 2, "a").number == 3  # the same content again after another is a new version


def test_tasks_and_namespaces_have_heads_of_their_own(db: Database) -> None:
    advance(db, None, "a")
    assert current_head(db, "childcare", "limit-10") is None
    assert current_head(db, "java", "main") is None


def test_an_unchanged_version_is_the_head_itself(db: Database) -> None:
    first = advance(db, None, "a")
    for expected in (None, 1, 7):
        assert advance(db, expected, "a") == first
    assert advance(db, 1, "a", inputs_key="other").number == 2


@pytest.mark.parametrize("expected", [None, 1, 3])
def test_a_head_that_moved_is_one_line_and_stays(db: Database, expected: int | None) -> None:
    advance(db, None, "a")
    second = advance(db, 1, "b")
    with pytest.raises(StorageError, match="moved") as caught:
        advance(db, expected, "c")
    assert "childcare/main" in str(caught.value)
    assert current_head(db, "childcare", "main") == second


def test_every_version_is_kept_and_a_restored_one_names_its_origin(db: Database) -> None:
    assert version_history(db, "childcare", "main") == []
    first, second = advance(db, None, "a"), advance(db, 1, "b")
    third = advance_head(
        db,
        "childcare",
        "main",
        expected_number=2,
        inputs_key="in-a",
        artifact_key="art-a",
        digest="a",
        restore=Restore(number=1, by="somebody"),
    )
    assert (third.number, third.restored_from) == (3, 1)
    assert version_history(db, "childcare", "main") == [first, second, third]
    assert current_head(db, "childcare", "main") == third
    assert advance(db, 3, "a") == third
    assert version_history(db, "childcare", "other") == []


RACES = """
    import sys
    from finetune_assets.storage.database import Database
    from finetune_assets.storage.errors import StorageError
    from finetune_assets.storage.heads import advance_head, current_head
    database, who, won = Database.open(sys.argv[1]), sys.argv[2], 0
    print("go", flush=True)
    sys.stdin.readline()
    for number in range(40):
        head = current_head(database, "t", "main")
        name = f"{who}-{number}"
        try:
            moved = advance_head(database, "t", "main", expected_number=head and head.number, inputs_key=name,
                                 artifact_key=name, digest=name)
        except StorageError as error:
            assert "moved" in str(error), error
        else:
            assert moved.number == (head.number if head else 0) + 1
            won += 1
    print(won)
    """


def test_two_processes_never_win_the_same_number(db: Database) -> None:
    processes = [spawn(RACES, db.url, who) for who in ("first", "second")]
    for process in processes:
        says(process, "go")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    won = [int(finish(process)) for process in processes]
    head = current_head(db, "t", "main")
    assert head is not None
    assert head.number == sum(won)
    assert min(won) > 0


def test_an_intent_is_recorded_once(db: Database) -> None:
    assert find_intent(db, "key") is None
    first = record_intent(db, "key", task="childcare", backend="local")
    assert (first.state, first.attempt, first.handle, first.error) == ("INTENDED", 1, "", "")
    assert record_intent(db, "key", task="childcare", backend="local") == first == find_intent(db, "key")


def test_a_job_under_way_or_done_is_attached_to(db: Database) -> None:
    record_intent(db, "key", task="childcare", backend="local")
    mark(db, "key", "SUBMITTED", handle="jobs/1")
    mark(db, "key", "RUNNING")
    again = record_intent(db, "key", task="childcare", backend="local")
    assert (again.state, again.handle, again.attempt) == ("RUNNING", "jobs/1", 1)
    mark(db, "key", "SUCCEEDED")
    assert record_intent(db, "key", task="childcare", backend="local").state == "SUCCEEDED"


@pytest.mark.parametrize("end", ["FAILED", "CANCELLED", "EXPIRED"])
def test_a_job_that_ended_badly_gets_another_attempt(db: Database, end: IntentState) -> None:
    record_intent(db, "key", task="childcare", backend="local")
    mark(db, "key", "RUNNING", handle="jobs/1")
    ended = mark(db, "key", end, error="out of memory")
    assert (ended.error, ended.handle) == ("out of memory", "jobs/1")
    again = record_intent(db, "key", task="childcare", backend="local")
    assert (again.state, again.attempt, again.handle, again.error) == ("INTENDED", 2, "", "")


@pytest.mark.parametrize("source", INTENT_STATES)
@pytest.mark.parametrize("target", get_args(IntentState))
def test_every_step_of_a_job(db: Database, source: IntentState, target: IntentState) -> None:
    record_intent(db, "key", task="childcare", backend="local")
    if source != "INTENDED":
        mark(db, "key", source)
    if target == source or target in INTENT_TRANSITIONS[source]:
        marked = mark(db, "key", target, handle="h")
        assert (marked.state, marked.handle) == (target, "h")
        assert marked.attempt == (2 if (source, target) == ("SUCCEEDED", "RUNNING") else 1)
    else:
        with pytest.raises(StorageError, match=f"{source} cannot become {target}"):
            mark(db, "key", target)
        assert find_intent(db, "key").state == source  # type: ignore[union-attr]


def test_marking_an_unknown_job_is_one_line(db: Database) -> None:
    with pytest.raises(StorageError, match="no such tuning intent"):
        mark(db, "key", "RUNNING")


def test_open_intents_are_those_that_have_not_ended(db: Database) -> None:
    for key, state in (("a", "RUNNING"), ("b", "SUCCEEDED"), ("c", "FAILED"), ("d", "SUBMITTED")):
        record_intent(db, key, task="childcare" if key != "d" else "java", backend="local")
        mark(db, key, state)  # type: ignore[arg-type]
    record_intent(db, "e", task="childcare", backend="local")
    assert [intent.request_key for intent in open_intents(db)] == ["a", "d", "e"]
    assert [intent.request_key for intent in open_intents(db, "childcare")] == ["a", "e"]


INTENDS = """
    import sys
    from finetune_assets.storage.database import Database
    from finetune_assets.storage.intents import record_intent
    database = Database.open(sys.argv[1])
    print("go", flush=True)
    sys.stdin.readline()
    attempts = {record_intent(database, f"key-{number}", task="t", backend="local").attempt for number in range(40)}
    assert attempts == {1}, attempts
    """


def test_two_processes_record_each_intent_once(db: Database) -> None:
    processes = [spawn(INTENDS, db.url) for _ in range(2)]
    for process in processes:
        says(process, "go")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        finish(process)
    assert len(open_intents(db)) == 40


def test_a_stage_is_that_of_its_run_else_the_newest(db: Database) -> None:
    def record(run_id: str, key: str, namespace: str = "main") -> None:
        stages.record_stage(
            db,
            task="t",
            namespace=namespace,
            stage="splits",
            run_id=run_id,
            kind="splits",
            key=key,
            digest=f"digest-{key}",
            reused=False,
        )

    assert stages.find_stage(db, "t", "main", "splits", "run-1") is None
    assert stages.latest_run(db, "t") is None
    record("run-1", "a")
    record("run-2", "b")
    record("run-3", "c", namespace="other")

    def found(run_id: str) -> str | None:
        result = stages.find_stage(db, "t", "main", "splits", run_id)
        return result and result.key

    assert (found("run-1"), found("run-2"), found("run-3"), found("")) == ("a", "b", "b", "b")
    assert stages.latest_run(db, "t") == "run-3"


def test_namespaces_are_sorted_by_their_bytes_on_every_server(db: Database) -> None:
    for name in ("b", "B", "a-1", "a1", "main"):
        advance_head(db, "t", name, expected_number=None, inputs_key="i", artifact_key="a", digest="d")
    assert namespaces(db, "t") == [("B", 1), ("a-1", 1), ("a1", 1), ("b", 1), ("main", 1)]
