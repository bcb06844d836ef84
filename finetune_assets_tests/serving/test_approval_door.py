"""Approvals over HTTP: who may, on what, and what the answer says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from finetune_assets.releases import approvals
from finetune_assets.releases.config import ReleaseConfig
from finetune_assets.releases.registry import Registry
from finetune_assets.releases.review import kept_policy
from finetune_assets.serving.approval_door import APPROVALS_PATH, CANDIDATES_PATH, NOTE_MAX
from finetune_assets.storage.api_keys import KeyBook
from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home
from finetune_assets.storage.stages import record_report
from finetune_assets_tests.serving.conftest import TASK
from finetune_assets_tests.serving.doors.gateways import Ask, asked, bearer, stub_app

C, OTHER = "c" * 64, "d" * 64
R, OLD = "ab" * 32, "12" * 32
APPROVALS, CANDIDATES = f"/v1/tasks/{TASK}/approvals", f"/v1/tasks/{TASK}/candidates"


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def db(home: Home):
    database = Database.open(home.database_url)
    yield database
    database.close()


def judge(db: Database, candidate: str = C, report: str = R, verdict: str = "PASS", **policy: Any) -> None:
    """Do as validation_report does."""
    registry = Registry(db)
    facts = {"base_model": "b", "request_key": "q", "dataset_digest": "d", "report_key": "k", "scores": {"exact": 0.5}}
    release = registry.register(TASK, candidate, report_digest=report, **facts)  # type: ignore[arg-type]
    if verdict == "PASS":
        registry.transition(release.id, "validated", by="gate")
    record_report(
        db,
        task=TASK,
        namespace="main",
        report_key="k",
        digest=report,
        candidate=candidate,
        baseline="",
        verdict=verdict,
        run_id="run",
        policy=kept_policy(ReleaseConfig(**policy), "rules"),
    )


@pytest.fixture
def keys(db: Database) -> dict[str, dict[str, str]]:
    book = KeyBook(db)
    made = {name: book.create(name, ["approve"])[0] for name in ("ann", "bob", "cleo")}
    made["admin"] = book.create("root", ["admin", "predict", "feedback"])[0]
    made["ann again"] = book.create("ann@example.org", ["approve"])[0]
    return {name: bearer(key) for name, key in made.items()}


@pytest.fixture
def ask(task_type, home: Home) -> Iterator[Ask]:
    with asyncio.Runner() as runner:
        gateway = asked(stub_app(task_type, home))
        inner = runner.run(gateway.__aenter__())
        yield lambda *arguments, **more: runner.run(inner(*arguments, **more))
        runner.run(gateway.__aexit__(None, None, None))


def body(**changes: Any) -> dict[str, Any]:
    return {"candidate": C[:12], "report": R[:12], "decision": "approve", "note": "read it"} | changes


def problem(answer: httpx.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["type"] == f"urn:finetune:{code}"
    assert found["mend"]
    return str(found["detail"])


def test_two_people_approve(db: Database, ask: Ask, keys: dict[str, Any]) -> None:
    judge(db, approvers=2)
    seen = ask("GET", CANDIDATES, headers=keys["ann"]).json()
    (waits,) = seen["candidates"]
    assert (waits["candidate"], waits["report"], waits["verdict"], waits["state"]) == (C, R, "PASS", "validated")
    assert (waits["decisions"], waits["needed"], waits["version"], waits["scores"]) == ([], 2, 1, {"exact": 0.5})
    first = ask("POST", APPROVALS, json=body(candidate=waits["candidate"], report=R), headers=keys["ann"])
    assert first.status_code == 200, first.text
    told = first.json()
    assert (told["outcome"], told["approvals"], told["needed"], told["state"]) == ("open", 1, 2, "validated")
    assert (told["approver"], told["repeated"], told["standing"]) == ("key:ann", False, "1 of 2 approvals: key:ann")
    (waits,) = ask("GET", CANDIDATES, headers=keys["bob"]).json()["candidates"]
    (said,) = waits["decisions"]
    assert (said["approver"], said["channel"], said["decision"], said["note"]) == (
        "key:ann",
        "api",
        "approve",
        "read it",
    )
    second = ask("POST", APPROVALS, json=body(), headers=keys["bob"]).json()
    assert (second["outcome"], second["state"], second["repeated"]) == ("approve", "approved", False)
    assert ask("GET", CANDIDATES, headers=keys["bob"]).json() == {"task": TASK, "candidates": []}
    assert [(one.approver, one.channel) for one in approvals.history(db, TASK)] == [
        ("key:ann", "api"),
        ("key:bob", "api"),
    ]


def test_the_same_said_twice_counts_once(db: Database, ask: Ask, keys: dict[str, Any]) -> None:
    judge(db, approvers=2)
    first = ask("POST", APPROVALS, json=body(), headers=keys["ann"]).json()
    for who in ("ann", "ann again"):
        again = ask("POST", APPROVALS, json=body(note="once more"), headers=keys[who])
        assert again.status_code == 200
        assert again.json() == first | {"repeated": True}
    assert len(approvals.history(db, TASK)) == 1


def test_a_rejection_is_recorded_and_taken_back(db: Database, ask: Ask, keys: dict[str, Any]) -> None:
    judge(db)
    told = ask("POST", APPROVALS, json=body(decision="reject"), headers=keys["ann"]).json()
    assert (told["outcome"], told["state"], told["standing"]) == ("reject", "rejected", "rejected by key:ann")
    told = ask("POST", APPROVALS, json=body(), headers=keys["bob"]).json()
    assert (told["outcome"], told["state"]) == ("reject", "rejected")
    told = ask("POST", APPROVALS, json=body(), headers=keys["ann"]).json()
    assert (told["outcome"], told["state"]) == ("approve", "approved")


def test_an_old_report_is_refused_with_the_newest_one(db: Database, ask: Ask, keys: dict[str, Any]) -> None:
    judge(db, report=OLD)
    judge(db)
    detail = problem(ask("POST", APPROVALS, json=body(report=OLD), headers=keys["ann"]), 409, "stale_report")
    assert R in detail
    assert approvals.history(db, TASK) == []


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"candidate": OTHER[:12]}, 409, "other_candidate"),
        ({"candidate": "0" * 12}, 404, "unknown_candidate"),
        ({"candidate": "e" * 12}, 409, "ambiguous_candidate"),
        ({"report": "0" * 12}, 404, "unknown_report"),
        ({"report": "77" * 6}, 409, "ambiguous_report"),
    ],
)
def test_what_is_not_the_newest_is_refused(
    db: Database, ask: Ask, keys: dict[str, Any], changes: dict[str, str], status: int, code: str
) -> None:
    for candidate, report in ((OTHER, OLD), ("e" * 63 + "1", "77" * 31 + "11"), ("e" * 63 + "2", "77" * 31 + "22")):
        judge(db, candidate, report)
    judge(db)
    problem(ask("POST", APPROVALS, json=body(**changes), headers=keys["ann"]), status, code)
    assert approvals.history(db, TASK) == []


@pytest.mark.parametrize(
    ("verdict", "policy", "status", "code"),
    [
        ("FAIL", {}, 409, "not_passed"),
        ("INCONCLUSIVE", {}, 409, "not_passed"),
        ("PASS", {"approval": "automatic"}, 409, "approved_by_policy"),
        ("PASS", {"approver_names": ["bob"]}, 403, "not_an_approver"),
    ],
)
def test_what_the_policy_does_not_bear_is_refused(
    db: Database, ask: Ask, keys: dict[str, Any], verdict: str, policy: dict[str, Any], status: int, code: str
) -> None:
    judge(db, verdict=verdict, **policy)
    problem(ask("POST", APPROVALS, json=body(), headers=keys["ann"]), status, code)
    assert approvals.history(db, TASK) == []


def test_a_person_takes_on_an_inconclusive_report_where_yaml_lets_them(
    db: Database, ask: Ask, keys: dict[str, Any]
) -> None:
    judge(db, verdict="INCONCLUSIVE", inconclusive="person")
    assert len(ask("GET", CANDIDATES, headers=keys["ann"]).json()["candidates"]) == 1
    assert ask("POST", APPROVALS, json=body(), headers=keys["ann"]).json()["state"] == "approved"


def test_nothing_to_decide(ask: Ask, keys: dict[str, Any]) -> None:
    for task in (TASK, "nobody", "%00", "a%2Fb", "ä"):
        assert ask("GET", f"/v1/tasks/{task}/candidates", headers=keys["ann"]).status_code in (200, 404)
        answer = ask("POST", f"/v1/tasks/{task}/approvals", json=body(), headers=keys["ann"])
        assert answer.status_code == 404, answer.text


@pytest.mark.parametrize(
    "changes",
    [
        {"note": ""},
        {"note": "  \n"},
        {"note": "x" * (NOTE_MAX + 1)},
        {"note": "a\x00b"},
        {"note": None},
        {"decision": "maybe"},
        {"candidate": C[:11]},
        {"candidate": C.upper()},
        {"candidate": C + "c"},
        {"report": ""},
        {"report": None},
        {"approver": "key:bob"},
    ],
)
def test_bodies_that_cannot_be_used(db: Database, ask: Ask, keys: dict[str, Any], changes: dict[str, Any]) -> None:
    judge(db)
    problem(ask("POST", APPROVALS, json=body(**changes), headers=keys["ann"]), 422, "invalid_body")
    assert approvals.history(db, TASK) == []


def test_a_lone_surrogate_is_no_text(db: Database, ask: Ask, keys: dict[str, Any]) -> None:
    judge(db)
    raw = b'{"candidate": "%s", "report": "%s", "decision": "approve", "note": "\\ud800"}' % (C.encode(), R.encode())
    headers = keys["ann"] | {"content-type": "application/json"}
    assert ask("POST", APPROVALS, content=raw, headers=headers).status_code == 422


def test_only_the_role_approve_opens_it(db: Database, ask: Ask, keys: dict[str, Any]) -> None:
    judge(db)
    for headers, status in (({}, 401), (keys["admin"], 403)):
        assert ask("GET", CANDIDATES, headers=headers).status_code == status
        assert ask("POST", APPROVALS, json=body(), headers=headers).status_code == status
    assert approvals.history(db, TASK) == []


def test_a_database_out_of_reach_is_told_and_loses_nothing(
    db: Database, home: Home, ask: Ask, keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(db)
    assert ask("GET", CANDIDATES, headers=keys["ann"]).status_code == 200
    from finetune_assets.storage.errors import StorageError

    def broken(*_: object, **__: object) -> object:
        raise StorageError("the database is busy", where="somewhere")

    with monkeypatch.context() as patched:
        patched.setattr("finetune_assets.serving.approval_door.decide", broken)
        answer = ask("POST", APPROVALS, json=body(), headers=keys["ann"])
    assert "cannot be used" in problem(answer, 503, "decisions_out_of_reach")
    assert answer.headers["retry-after"]
    assert ask("POST", APPROVALS, json=body(), headers=keys["ann"]).json()["repeated"] is False


def test_a_rehearsal_has_no_such_door(task_type) -> None:
    assert not {route.path for route in stub_app(task_type, None).routes} & {APPROVALS_PATH, CANDIDATES_PATH}
