"""Deciding: who may, on what, what is recorded, and the state that follows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases import approvals
from finetune_assets.releases.config import ReleaseConfig
from finetune_assets.releases.deciding import Decided, decide, decision_key, settle, standing_of, waiting
from finetune_assets.releases.review import DecisionError, Review, addressed_review, kept_policy, newest_review
from finetune_assets.releases.tally import POLICY
from finetune_assets.storage.database import Database
from finetune_assets.storage.stages import record_report
from finetune_assets_tests.releases.conftest import TASK, Desk, said
from finetune_assets_tests.storage.processes import finish, says, spawn

C = "c" * 64
R = "ab" * 32
ANN, BOB = "user:ann@desk", "key:bob"


def review(**changes: Any) -> Review:
    policy = ReleaseConfig(**{name: changes.pop(name) for name in list(changes) if name in ReleaseConfig.model_fields})
    return Review(**{"task": TASK, "candidate": C, "report_digest": R, "verdict": "PASS", "policy": policy} | changes)


def judged(desk: Desk, candidate: str = C, report: str = R, *, validated: bool = True) -> int:
    release = desk.add(candidate, report_digest=report)
    if validated:
        desk.transition(release.id, "validated", by="gate")
    return release.id


def say(db: Database, on: Review, decision: str = "approve", by: str = ANN, **changes: Any) -> Decided:
    facts: dict[str, Any] = {"channel": "cli", "note": "seen"}
    return decide(db, on, decision, approver=by, **(facts | changes))  # type: ignore[arg-type]


def refused(reason: str, db: Database, on: Review, decision: str = "approve", by: str = ANN) -> DecisionError:
    before = approvals.history(db, TASK)
    with pytest.raises(DecisionError) as caught:
        say(db, on, decision, by)
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)
    assert approvals.history(db, TASK) == before, "what is refused is not recorded"
    return caught.value


def test_one_approval_is_enough_where_one_is_asked_for(db: Database, desk: Desk) -> None:
    judged(desk)
    done = say(db, review(), channel="api", note="read it")
    assert (done.repeated, done.tally.outcome, done.release.state) == (False, "approve", "approved")
    kept = approvals.latest(db, TASK, C)
    assert kept == done.approval
    assert (kept.channel, kept.note, kept.authenticated, kept.policy) == ("api", "read it", True, "manual")


def test_the_first_of_two_leaves_the_release_validated(db: Database, desk: Desk) -> None:
    judged(desk)
    two = review(approvers=2)
    first = say(db, two)
    assert (first.tally.sentence, first.release.state) == (f"1 of 2 approvals: {ANN}", "validated")
    second = say(db, two, by=BOB, channel="api")
    assert (second.tally.outcome, second.release.state) == ("approve", "approved")
    assert [(event.to_state, event.by) for event in desk.events(second.release.id)][-1] == ("approved", BOB)


@pytest.mark.parametrize("again", [ANN, "user:ann@laptop", "key:ann", "key:ann@example.org", "user:ANN@desk"])
def test_one_person_is_not_two(db: Database, desk: Desk, again: str) -> None:
    judged(desk)
    two = review(approvers=2)
    say(db, two)
    done = say(db, two, by=again, note="another note")
    assert (done.repeated, done.tally.outcome, done.release.state) == (True, "open", "validated")
    assert done.approval.note == "seen", "the first one is kept as it was said"
    assert len(approvals.history(db, TASK)) == 1


def test_a_rejection_stands_until_it_is_taken_back(db: Database, desk: Desk) -> None:
    judged(desk)
    two = review(approvers=2)
    say(db, two)
    assert say(db, two, "reject", BOB).release.state == "rejected"
    assert say(db, two, by="key:cleo").release.state == "rejected", "nobody outvotes it"
    back = say(db, two, by=BOB)
    assert (back.tally.outcome, back.release.state) == ("approve", "approved")
    assert say(db, two, "reject", ANN).release.state == "rejected", "an approval is taken back before it went live"
    assert [one.decision for one in approvals.history(db, TASK)] == [
        "approve",
        "reject",
        "approve",
        "approve",
        "reject",
    ]


def test_a_rejection_taken_back_waits_again(db: Database, desk: Desk) -> None:
    judged(desk)
    two = review(approvers=2)
    assert say(db, two, "reject").release.state == "rejected"
    again = say(db, two)
    assert (again.tally.outcome, again.release.state) == ("open", "validated")


def test_a_stale_report_is_refused(db: Database, desk: Desk) -> None:
    judged(desk)
    desk.add(C, report_digest="ef" * 32)
    problem = refused("stale_report", db, review())
    assert "ef" * 32 in str(problem)


def test_decisions_on_an_old_report_do_not_count_on_the_new_one(db: Database, desk: Desk) -> None:
    judged(desk)
    two = review(approvers=2)
    say(db, two)
    judged(desk, report="ef" * 32)
    anew = replace(two, report_digest="ef" * 32)
    assert say(db, anew, by=BOB).tally.sentence == f"1 of 2 approvals: {BOB}"


@pytest.mark.parametrize(
    ("changes", "by", "reason"),
    [
        ({"verdict": "FAIL"}, ANN, "not_passed"),
        ({"verdict": "INCONCLUSIVE"}, ANN, "not_passed"),
        ({"verdict": "INCONCLUSIVE", "inconclusive": "person", "approval": "automatic"}, POLICY, "not_passed"),
        ({"approval": "automatic"}, ANN, "approved_by_policy"),
        ({"approver_names": ("cleo",)}, ANN, "not_an_approver"),
        ({"candidate": "d" * 64}, ANN, "not_registered"),
    ],
)
def test_what_may_not_be_approved(db: Database, desk: Desk, changes: dict[str, Any], by: str, reason: str) -> None:
    judged(desk)
    refused(reason, db, review(**changes), by=by)
    assert desk.state(C) == "validated"


def test_an_inconclusive_report_is_a_persons_to_take_on(db: Database, desk: Desk) -> None:
    judged(desk, validated=False)
    open_one = review(verdict="INCONCLUSIVE", inconclusive="person", approvers=2)
    assert say(db, open_one).release.state == "candidate"
    assert say(db, open_one, "reject", BOB).release.state == "rejected"
    assert say(db, open_one, by=BOB).release.state == "approved"


def test_a_report_that_failed_may_be_rejected(db: Database, desk: Desk) -> None:
    release = desk.add(C, report_digest=R)
    desk.transition(release.id, "rejected", by="gate")
    assert say(db, review(verdict="FAIL"), "reject").release.state == "rejected"


def test_after_a_rollback_everybody_decides_anew(db: Database, desk: Desk) -> None:
    desk.deploy("a")
    two = review(approvers=2)
    release = judged(desk)
    say(db, two)
    say(db, two, by=BOB)
    desk.move_pointer(TASK, release, expected_seq=1, action="deploy", by="both")
    desk.roll_back()
    assert standing_of(db, TASK, C, R, two.policy).sentence == "0 of 2 approvals"
    first = say(db, two)
    assert (first.repeated, first.release.state) == (False, "rolled_back")
    assert say(db, two, "reject", BOB).release.state == "rolled_back"
    assert say(db, two, by=BOB).release.state == "approved"
    assert desk.move_pointer(TASK, release, expected_seq=3, action="deploy", by="both").candidate == C


def test_no_policy_brings_back_what_was_rolled_back(db: Database, desk: Desk) -> None:
    desk.deploy("a")
    release = judged(desk)
    automatic = review(approval="automatic")
    assert say(db, automatic, by=POLICY, channel="policy").release.state == "approved"
    desk.move_pointer(TASK, release, expected_seq=1, action="deploy", by="policy")
    desk.roll_back()
    with pytest.raises(FinetuneError, match="rolled back"):
        say(db, automatic, by=POLICY, channel="policy")


def test_no_policy_approves_what_a_person_rejected(db: Database, desk: Desk) -> None:
    judged(desk)
    say(db, review(), "reject")
    with pytest.raises(FinetuneError, match="rejection outweighs the policy") as caught:
        say(db, review(approval="automatic"), by=POLICY, channel="policy")
    assert ANN in str(caught.value)
    assert [one.decision for one in approvals.history(db, TASK)] == ["reject"]
    assert desk.release(TASK, C).state == "rejected"  # type: ignore[union-attr]


def test_a_policy_that_was_raised_counts_anew(db: Database, desk: Desk) -> None:
    judged(desk)
    assert say(db, review()).release.state == "approved"
    raised = ReleaseConfig(approvers=2)
    assert standing_of(db, TASK, C, R, raised).outcome == "open"
    assert settle(db, review(approvers=2), by="x")[0].outcome == "open"


def test_settling_brings_a_lowered_policy_to_pass_and_records_nothing(db: Database, desk: Desk) -> None:
    judged(desk)
    say(db, review(approvers=2))
    standing, release = settle(db, review(), by="release_approval")
    assert (standing.outcome, release.state) == ("approve", "approved")
    assert len(approvals.history(db, TASK)) == 1


def test_what_is_live_stays_live_whatever_is_said(db: Database, desk: Desk) -> None:
    release = judged(desk)
    say(db, review())
    desk.move_pointer(TASK, release, expected_seq=0, action="deploy", by=ANN)
    done = say(db, review(), "reject", BOB)
    assert (done.tally.outcome, done.release.state) == ("reject", "live")


def test_the_key_of_a_decision_changes_with_it(db: Database, desk: Desk) -> None:
    judged(desk)
    two = review(approvers=2)
    first = decision_key(two, say(db, two).tally)
    assert decision_key(two, standing_of(db, TASK, C, R, two.policy)) == first
    assert decision_key(two, say(db, two, by=BOB).tally) != first


steps = st.lists(
    st.tuples(
        st.sampled_from(("user:ann@desk", "key:ann", "key:bob", "user:bob@desk", "key:cleo")),
        st.sampled_from(("approve", "reject")),
    ),
    max_size=8,
)


@pytest.fixture(scope="module")
def one_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One for all examples, each of which has a candidate of its own."""
    database = Database.open(f"sqlite:///{tmp_path_factory.mktemp('deciding') / 'f.db'}")
    yield database
    database.close()


NUMBERS = count()


@given(taken=steps, needed=st.integers(1, 3), verdict=st.sampled_from(("PASS", "INCONCLUSIVE")))
def test_the_state_follows_the_count(
    one_database: Database, taken: list[tuple[str, str]], needed: int, verdict: str
) -> None:
    candidate, desk = f"candidate {next(NUMBERS)}", Desk(one_database)
    judged(desk, candidate, validated=verdict == "PASS")
    on = review(candidate=candidate, verdict=verdict, approvers=needed, inconclusive="person")
    last: dict[str, str] = {}
    for approver, decision in taken:
        done = say(one_database, on, decision, approver)
        person = approver.split(":")[1].split("@")[0]
        assert done.repeated == (last.get(person) == decision)
        last[person] = decision
        expected = "validated" if verdict == "PASS" else "candidate"
        if "reject" in last.values():
            expected = "rejected"
        elif len(last) >= needed:
            expected = "approved"
        # Approvals are only taken back by rejecting, so nothing leads from approved to open.
        assert done.release.state == desk.state(candidate) == expected


APPROVES = """
    import sys, time
    from finetune_assets.releases import deciding
    from finetune_assets.releases.config import ReleaseConfig
    from finetune_assets.releases.deciding import decide
    from finetune_assets.releases.review import Review
    from finetune_assets.storage.database import Database
    url, who, number = sys.argv[1:]
    database = Database.open(url)
    print("go", flush=True)
    start = float(sys.stdin.readline())
    write = deciding.write_decision
    def slowly(*arguments, **more):
        written = write(*arguments, **more)
        time.sleep(0.03)  # leaves the other time to count without this one, if it could
        return written
    deciding.write_decision = slowly
    def say(index):
        time.sleep(max(0.0, start + 0.15 * index - time.time()))
        on = Review("childcare", f"c{index}", f"r{index}", "PASS", ReleaseConfig(approvers=2))
        done = decide(database, on, "approve", approver=who, channel="api", note="")
        return f"{len(done.tally.approvals)}{done.release.state[0]}"
    saw = [say(index) for index in range(int(number))]
    print(",".join(saw))
    """


def test_of_two_who_approve_at_once_each_sees_the_other(db: Database, desk: Desk) -> None:
    number = 12
    for index in range(number):
        judged(desk, f"c{index}", f"r{index}")
    people = ("key:ann", "key:bob", "user:bob@desk")
    processes = [spawn(APPROVES, db.url, who, str(number)) for who in people]
    for process in processes:
        says(process, "go")
    start = time.time() + 0.5
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{start}\n")
        process.stdin.flush()
    saw = [finish(process).strip().split(",") for process in processes]
    for index in range(number):
        standing = standing_of(db, TASK, f"c{index}", f"r{index}", ReleaseConfig(approvers=2))
        assert len(standing.approvals) == 2
        assert desk.state(f"c{index}") == "approved"
        assert "2a" in {one[index] for one in saw}, "the second of them saw it approved"
        events = [event.to_state for event in desk.events(desk.release(TASK, f"c{index}").id)]  # type: ignore[union-attr]
        assert events.count("approved") == 1
    assert len(approvals.history(db, TASK)) == 2 * number


def report(db: Database, candidate: str = C, digest: str = R, *, namespace: str = "main", **policy: Any) -> None:
    record_report(
        db,
        task=TASK,
        namespace=namespace,
        report_key="k",
        digest=digest,
        candidate=candidate,
        baseline="",
        verdict="PASS",
        run_id="run",
        policy=kept_policy(ReleaseConfig(**policy), "rules"),
    )


def test_a_review_is_read_as_it_was_written_down(db: Database) -> None:
    assert newest_review(db, TASK) is None
    report(db, approvers=3, approver_names=("ann", "bob", "cleo"), inconclusive="person")
    report(db, "d" * 64, namespace="experiment-1")
    policy = ReleaseConfig(approvers=3, approver_names=("ann", "bob", "cleo"), inconclusive="person")
    assert newest_review(db, TASK) == Review(TASK, C, R, "PASS", policy)
    assert newest_review(db, "java") is None


@pytest.mark.parametrize(
    ("candidate", "digest", "reason"),
    [
        ("c" * 12, "ab" * 6, ""),
        (C, R, ""),
        ("d" * 12, "ab" * 6, "other_candidate"),
        ("e" * 12, "ab" * 6, "unknown_candidate"),
        ("c" * 7, "ab" * 6, "unknown_candidate"),
        ("f" * 12, "ab" * 6, "ambiguous_candidate"),
        ("c" * 12, "12" * 6, "stale_report"),
        ("c" * 12, "99" * 6, "unknown_report"),
        ("c" * 12, "ab" * 5, "unknown_report"),
        ("c" * 12, "77" * 6, "ambiguous_report"),
    ],
)
def test_a_decision_names_just_the_newest_report(
    db: Database, desk: Desk, candidate: str, digest: str, reason: str
) -> None:
    for name in ("d" * 64, "f" * 60 + "1111", "f" * 60 + "2222"):
        desk.add(name)
    for old in ("12" * 32, "77" * 30 + "1111", "77" * 30 + "2222"):
        report(db, digest=old)
    judged(desk)
    report(db)
    if not reason:
        assert addressed_review(db, TASK, candidate, digest) == newest_review(db, TASK)
        return
    with pytest.raises(DecisionError) as caught:
        addressed_review(db, TASK, candidate, digest)
    assert caught.value.reason == reason
    assert (C if "candidate" in reason else R) in str(caught.value), "it names the newest in full"


def test_what_waits(db: Database, desk: Desk) -> None:
    judged(desk)
    two = review(approvers=2)
    found = waiting(db, two)
    assert found is not None
    assert (found[0].candidate, found[1].sentence) == (C, "0 of 2 approvals")
    say(db, two)
    found = waiting(db, two)
    assert found is not None
    assert found[1].sentence == f"1 of 2 approvals: {ANN}"
    say(db, two, by=BOB)
    assert waiting(db, two) is None
    assert waiting(db, review(approval="automatic")) is None
    assert waiting(db, review(verdict="FAIL")) is None
    assert waiting(db, review(report_digest="ef" * 32)) is None


def test_only_known_people_are_counted_from_an_older_database(db: Database, desk: Desk) -> None:
    judged(desk)
    said(db, C, R, authenticated=False, approver="somebody")
    said(db, C, R, channel=None, pointer_seq=None)
    standing = standing_of(db, TASK, C, R, ReleaseConfig(approvers=2))
    assert standing.sentence == f"1 of 2 approvals: {ANN}"
    assert standing.approvals[0].channel == ""
