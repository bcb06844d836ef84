"""What decisions come to: the law itself, over any sequence of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from finetune_assets.releases.config import ReleaseConfig
from finetune_assets.releases.people import person_of
from finetune_assets.releases.pointer import PointerMove
from finetune_assets.releases.tally import POLICY, Approval, tally
from finetune_assets.storage.clock import utc_now

NOW = utc_now()
REPORTS = ("this report", "another")


def decision(number: int, approver: str = "user:ann@desk", said: str = "approve", **changes: object) -> Approval:
    facts: dict[str, object] = {
        "id": number,
        "task": "toys",
        "candidate": "c",
        "report_digest": REPORTS[0],
        "decision": said,
        "approver": approver,
        "authenticated": approver != POLICY,
        "policy": "automatic" if approver == POLICY else "manual",
        "note": "",
        "at": NOW,
        "channel": "cli",
        "pointer_seq": 0,
    }
    return Approval(**(facts | changes))  # type: ignore[arg-type]


def two() -> ReleaseConfig:
    return ReleaseConfig(approvers=2)


@pytest.mark.parametrize(
    ("approver", "person"),
    [
        ("user:ana@desk", "ana"),
        ("user:ana@laptop", "ana"),
        ("key:ana", "ana"),
        ("key:ana@example.org", "ana"),
        ("user:Ana@desk", "ana"),
        ("ana", "ana"),
        ("key:ａｎａ", "ana"),
        ("key:@odd", "@odd"),
        ("key:user", "user"),
        (POLICY, POLICY),
    ],
)
def test_a_person_is_one_over_all_channels(approver: str, person: str) -> None:
    assert person_of(approver) == person


APPROVERS = ("user:ann@desk", "user:ann@laptop", "key:ann", "key:Bob@example.org", "user:bob@desk", "key:cleo", POLICY)
sequences = st.lists(
    st.builds(
        dict,
        approver=st.sampled_from(APPROVERS),
        said=st.sampled_from(("approve", "reject")),
        report_digest=st.sampled_from(REPORTS),
        known=st.booleans(),
    ),
    max_size=14,
)


def made(steps: list[dict[str, object]]) -> list[Approval]:
    found = []
    for number, step in enumerate(steps, start=1):
        facts = dict(step)
        known = facts.pop("known") and facts["approver"] != POLICY
        found.append(decision(number, **(facts | {"authenticated": known})))  # type: ignore[arg-type]
    return found


@given(sequences, st.integers(1, 4))
def test_approved_is_enough_people_and_no_rejection_among_the_newest_decisions(
    steps: list[dict[str, object]], needed: int
) -> None:
    said = made(steps)
    last: dict[str, str] = {}
    for one in said:  # written once more, the plain way
        if one.authenticated and one.report_digest == REPORTS[0]:
            last[one.approver.split(":")[1].split("@")[0].lower()] = one.decision
    found = tally(said, REPORTS[0], ReleaseConfig(approvers=needed), None)
    for_it = sum(word == "approve" for word in last.values())
    against = sum(word == "reject" for word in last.values())
    assert (len(found.approvals), len(found.rejections)) == (for_it, against)
    assert (found.outcome == "approve") == (for_it >= needed and against == 0)
    assert (found.outcome == "reject") == (against > 0)


@given(sequences, st.integers(1, 4))
def test_more_people_never_make_it_easier(steps: list[dict[str, object]], needed: int) -> None:
    said = made(steps)
    stricter = tally(said, REPORTS[0], ReleaseConfig(approvers=needed + 1), None)
    if stricter.outcome == "approve":
        assert tally(said, REPORTS[0], ReleaseConfig(approvers=needed), None).outcome == "approve"


@given(sequences)
def test_one_person_never_fills_two_places(steps: list[dict[str, object]]) -> None:
    alone = [one for one in made(steps) if one.person == "ann"]
    assert tally(alone, REPORTS[0], two(), None).outcome != "approve"


def test_a_rejection_is_taken_back_by_its_author_only() -> None:
    said = [decision(1), decision(2, "key:bob"), decision(3, "key:cleo", "reject")]
    assert tally(said, REPORTS[0], two(), None).outcome == "reject"
    said += [decision(4), decision(5, "user:dan@desk")]
    assert tally(said, REPORTS[0], two(), None).outcome == "reject", "others cannot outvote it"
    said.append(decision(6, "user:cleo@desk"))
    found = tally(said, REPORTS[0], two(), None)
    assert (found.outcome, len(found.approvals)) == ("approve", 4)
    said.append(decision(7, "user:ann@desk", "reject"))
    assert tally(said, REPORTS[0], two(), None).outcome == "reject", "an approval is taken back in the same way"


def test_the_sentence_says_who_and_how_many() -> None:
    assert tally([], REPORTS[0], ReleaseConfig(), None).sentence == "no decision"
    assert tally([], REPORTS[0], two(), None).sentence == "0 of 2 approvals"
    assert tally([decision(1)], REPORTS[0], two(), None).sentence == "1 of 2 approvals: user:ann@desk"
    both = [decision(1), decision(2, "key:bob")]
    assert tally(both, REPORTS[0], two(), None).sentence == "2 of 2 approvals: user:ann@desk, key:bob"
    assert tally([decision(1, said="reject")], REPORTS[0], two(), None).sentence == "rejected by user:ann@desk"


def move(seq: int, action: str = "rollback") -> PointerMove:
    return PointerMove(seq, 1, 2, action, NOW, "x", "")


def test_what_was_said_before_a_rollback_no_longer_counts_whatever_the_clock_says() -> None:
    tomorrow = NOW + timedelta(days=1)
    before = decision(1, at=tomorrow, pointer_seq=2)
    assert tally([before], REPORTS[0], ReleaseConfig(), move(3)).outcome == "open"
    after = decision(2, at=NOW - timedelta(days=1), pointer_seq=3)
    assert tally([before, after], REPORTS[0], ReleaseConfig(), move(3)).outcome == "approve"
    # Decisions from before the pointer's number was kept go by the clock.
    assert tally([decision(3, at=tomorrow, pointer_seq=None)], REPORTS[0], ReleaseConfig(), move(3)).by_people
    old = decision(4, at=NOW - timedelta(days=1), pointer_seq=None)
    assert not tally([old], REPORTS[0], ReleaseConfig(), move(3)).by_people


def test_the_policys_own_approval_counts_while_the_policy_is_automatic() -> None:
    automatic, manual = ReleaseConfig(approval="automatic"), ReleaseConfig()
    said = [decision(1, POLICY)]
    assert tally(said, REPORTS[0], automatic, None).outcome == "approve"
    assert not tally(said, REPORTS[0], automatic, None).by_people
    assert tally(said, REPORTS[0], manual, None).outcome == "open", "the policy asks for a person now"
    said.append(decision(2, said="reject"))
    assert tally(said, REPORTS[0], automatic, None).outcome == "reject", "a person's word weighs more"


def test_only_those_who_are_named_decide() -> None:
    named = ReleaseConfig(approvers=2, approver_names=("Ann", "bob"))
    said = [decision(1), decision(2, "key:cleo"), decision(3, "key:dan", "reject")]
    assert tally(said, REPORTS[0], named, None).sentence == "1 of 2 approvals: user:ann@desk"
    said.append(decision(4, "key:bob"))
    assert tally(said, REPORTS[0], named, None).outcome == "approve"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"approval": "automatic", "approvers": 2}, "does not wait for"),
        ({"approvers": 0}, "approvers"),
        ({"approvers": 11}, "approvers"),
        ({"approvers": 2, "approver_names": ["ann"]}, "names 1 people"),
        ({"approvers": 2, "approver_names": ["ann", "ANN"]}, "names 1 people"),
        ({"approver_names": ["ann@desk"]}, "approver_names"),
        ({"approver_names": ["key:ann"]}, "approver_names"),
        ({"approver_names": [""]}, "approver_names"),
    ],
)
def test_a_policy_that_nobody_can_meet_is_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ReleaseConfig(**wrong)  # type: ignore[arg-type]
