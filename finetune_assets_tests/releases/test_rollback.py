from __future__ import annotations

import tempfile
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from finetune_assets.releases.pointer import PointerMove, departures, good_releases, withdrawal
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets_tests.releases.conftest import TASK, Desk, said
from finetune_assets_tests.storage.databases import fresh_url

NOW = utc_now()


def moves(*steps: tuple[int, str], at: datetime = NOW) -> list[PointerMove]:
    history: list[PointerMove] = []
    for seq, (release_id, action) in enumerate(steps, start=1):
        previous = history[-1].release_id if history else None
        history.append(PointerMove(seq, release_id, previous, action, at, "x", ""))
    return history


def test_nothing_to_return_to_before_the_second_deploy(desk: Desk) -> None:
    assert desk.rollback_target(TASK) is None
    desk.deploy("a")
    assert desk.rollback_target(TASK) is None


def test_rollback_walks_back_and_does_not_come_forth(desk: Desk) -> None:
    for name in "abc":
        desk.deploy(name)
    assert desk.roll_back().candidate == "b"
    assert desk.states() == {"a": "retired", "b": "live", "c": "rolled_back"}
    back = desk.roll_back()
    assert (back.candidate, back.action, back.deployed_by) == ("a", "rollback", "bob")
    assert desk.states() == {"a": "live", "b": "rolled_back", "c": "rolled_back"}
    assert desk.rollback_target(TASK) is None


def test_rollback_skips_what_was_withdrawn_in_between(desk: Desk) -> None:
    desk.deploy("a")
    desk.deploy("bad")
    desk.roll_back()
    desk.deploy("c")
    target = desk.rollback_target(TASK)
    assert target is not None
    assert target.candidate == "a"


def test_the_last_good_one_is_the_one_that_was_live_last_not_the_highest_version(desk: Desk) -> None:
    desk.deploy("a")
    desk.deploy("b")
    desk.add("a", report_digest="judged again")
    desk.deploy("a")  # the older version is better on new data
    desk.deploy("c")
    assert desk.roll_back().candidate == "a"
    assert desk.roll_back().candidate == "b"
    assert desk.rollback_target(TASK) is None


def test_a_good_release_that_is_judged_anew_is_still_a_target(desk: Desk) -> None:
    release = desk.deploy("a")
    desk.deploy("b")
    desk.add("a", report_digest="judged against b")
    desk.transition(release.id, "rejected", by="gate")
    assert desk.roll_back().candidate == "a"
    assert desk.states() == {"a": "live", "b": "rolled_back"}


def test_targets_that_cannot_be_used_are_passed_over(desk: Desk) -> None:
    for name in "abc":
        desk.deploy(name)
    target = desk.rollback_target(TASK, is_usable=lambda release: release.candidate != "b")
    assert target is not None
    assert target.candidate == "a"
    assert desk.rollback_target(TASK, is_usable=lambda _release: False) is None


def test_history_says_who_left_how() -> None:
    history = moves((1, "deploy"), (2, "deploy"), (3, "deploy"), (2, "rollback"), (4, "deploy"))
    left = departures(history)
    assert {release_id: move.action for release_id, move in left.items()} == {1: "deploy", 2: "deploy", 3: "rollback"}
    assert list(good_releases(history)) == [2, 1]
    assert withdrawal(history, 3) is not None
    assert withdrawal(history, 2) is None
    assert withdrawal(history, 9) is None
    assert list(good_releases([])) == []


class Pointer(RuleBasedStateMachine):
    """Any order of deploys, re-judgements and rollbacks."""

    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.opened = ExitStack()
        self.db = Database.open(self.opened.enter_context(fresh_url(self.kind, Path(self.folder.name))))
        self.desk = Desk(self.db)
        self.count = 0
        self.withdrawn: set[str] = set()

    def teardown(self) -> None:
        self.db.close()
        self.opened.close()
        self.folder.cleanup()

    @rule()
    def deploy(self) -> None:
        self.count += 1
        self.desk.deploy(f"c{self.count}")

    @precondition(lambda self: self.desk.rollback_target(TASK) is not None)
    @rule()
    def roll_back(self) -> None:
        bad = self.desk.live(TASK)
        good_before = set(good_releases(self.desk.history(TASK)))
        back = self.desk.roll_back()
        assert bad is not None
        self.withdrawn.add(bad.candidate)
        assert back.candidate not in self.withdrawn
        assert set(good_releases(self.desk.history(TASK))) == good_before - {back.id}

    @rule(data=st.data())
    def deploy_an_old_one_again(self, data: st.DataObject) -> None:
        live = self.desk.live(TASK)
        old = [release for release in self.desk.releases(TASK) if live is None or release.id != live.id]
        if not old:
            return
        release = data.draw(st.sampled_from(old))
        digest = f"report {data.draw(st.integers(0, 3))} of {release.candidate}"
        self.desk.add(release.candidate, report_digest=digest)
        said(self.db, release.candidate, digest, note="again")
        state = self.desk.state(release.candidate)
        if state in ("retired", "rolled_back", "rejected"):
            self.desk.transition(release.id, "candidate", by="ann")
        if self.desk.state(release.candidate) == "candidate":
            self.desk.transition(release.id, "validated", by="gate")
        self.desk.transition(release.id, "approved", by="ann")
        self.desk.move_pointer(TASK, release.id, expected_seq=self.desk.seq(), action="deploy", by="ann")
        self.withdrawn.discard(release.candidate)

    @invariant()
    def the_pointer_and_the_states_agree(self) -> None:
        history = self.desk.history(TASK)
        live = [release.id for release in self.desk.releases(TASK) if release.state == "live"]
        assert live == ([history[-1].release_id] if history else [])

    @invariant()
    def history_is_a_chain_without_gaps(self) -> None:
        history = self.desk.history(TASK)
        assert [move.seq for move in history] == list(range(1, len(history) + 1))
        assert [move.previous_release_id for move in history[1:]] == [move.release_id for move in history[:-1]]

    @invariant()
    def rollbacks_come_to_an_end(self) -> None:
        live = self.desk.live(TASK)
        good = list(good_releases(self.desk.history(TASK)))
        assert len(good) == len(set(good))
        assert live is None or live.id not in good


TestPointer = Pointer.TestCase
TestPointer.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)


class PostgresPointer(Pointer):
    kind = "postgresql"


TestPostgresPointer = PostgresPointer.TestCase
TestPostgresPointer.settings = settings(max_examples=4, stateful_step_count=12, deadline=None)
