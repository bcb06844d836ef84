"""A person's decision: from the command line, and in the Launchpad with a single-use code."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from finetune_assets.cli.chain import current_user
from finetune_assets.releases import approvals
from finetune_assets.releases.registry import Registry
from finetune_assets_tests.e2e.command import (
    MANUAL,
    TASK,
    Clicked,
    candidate_of,
    click,
    database,
    finetune,
    live_release,
    result,
)

OTHER = "0" * 64


@pytest.fixture
def manual(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A judged home, and this process set to manual approval as the UI's would be."""
    for name, value in MANUAL.items():
        monkeypatch.setenv(name, value)
    return home


def code_for(home: Path, decision: str = "approve", candidate: str = "") -> str:
    return approvals.issue_code(
        database(home), task=TASK, candidate=candidate or candidate_of(home), decision=decision, approver=current_user()
    )


def submit(home: Path, code: str, *, decision: str = "approve", candidate: str = "") -> Clicked:
    form = {"candidate": candidate or candidate_of(home), "decision": decision, "note": "seen", "code": code}
    return click(home, "release_approval", form=form)


def refused(done: Clicked, home: Path, what: str) -> None:
    """The decision failed with one line, and nothing was decided."""
    assert not done.success
    assert what in done.error
    assert len(done.error.splitlines()) == 1
    assert approvals.latest(database(home), TASK, candidate_of(home)) is None
    release = Registry(database(home)).release(TASK, candidate_of(home))
    assert release is not None
    assert release.state == "validated"


@pytest.fixture(scope="module")
def approved(judged_home, tmp_path_factory) -> SimpleNamespace:
    import shutil

    home = Path(shutil.copytree(judged_home.path, tmp_path_factory.mktemp("approved") / "home"))
    began = datetime.now(UTC)
    said = finetune(home, "approve", TASK, candidate_of(home)[:12], "--note", "looked at the critical rows", env=MANUAL)
    return SimpleNamespace(home=home, said=said, began=began)


def test_approve_makes_the_candidate_live(approved: SimpleNamespace) -> None:
    assert approved.said.code == 0, approved.said.all
    live = live_release(approved.home)
    assert live is not None
    assert (live.version, live.seq, live.candidate) == (1, 1, candidate_of(approved.home))
    assert "Live: version 1" in approved.said.out


def test_an_approval_says_who_and_when_as_the_machine_knows_it(approved: SimpleNamespace) -> None:
    decision = approvals.latest(database(approved.home), TASK, candidate_of(approved.home))
    assert decision is not None
    assert (decision.decision, decision.authenticated, decision.policy) == ("approve", True, "manual")
    assert decision.approver == current_user()
    assert decision.approver.startswith(f"user:{getpass.getuser()}@")
    assert decision.note == "looked at the critical rows"
    assert approved.began <= decision.at <= approved.began + timedelta(minutes=5)
    assert decision.report_digest == result(approved.home, "validation_report").digest


def test_a_release_that_is_live_is_not_deployed_twice(approved: SimpleNamespace) -> None:
    again = finetune(approved.home, "approve", TASK, candidate_of(approved.home)[:12], env=MANUAL)
    assert again.code == 0, again.all
    assert [move.seq for move in Registry(database(approved.home)).history(TASK)] == [1]


def test_reject_leaves_nothing_live(home: Path) -> None:
    said = finetune(home, "reject", TASK, candidate_of(home)[:8], "--note", "not yet", env=MANUAL)
    assert said.code == 0, said.all
    release = Registry(database(home)).release(TASK, candidate_of(home))
    assert release is not None
    assert release.state == "rejected"
    assert live_release(home) is None


@pytest.mark.parametrize("prefix", ["deadbeefdeadbeef", "short"])
def test_a_candidate_that_nobody_knows_is_one_line(home: Path, prefix: str) -> None:
    line = finetune(home, "approve", TASK, prefix, env=MANUAL).one_error()
    assert "candidate is not known" in line
    assert prefix in line
    assert candidate_of(home)[:12] in line
    assert live_release(home) is None


def test_approving_by_hand_what_a_policy_approves_is_refused(home: Path) -> None:
    line = finetune(home, "approve", TASK, candidate_of(home)[:12]).one_error()
    assert "release.approval" in line
    assert "manual" in line


def test_the_right_code_approves_in_the_launchpad(manual: Path) -> None:
    said = finetune(manual, "approve-code", TASK, candidate_of(manual)[:12], env=MANUAL)
    assert said.code == 0, said.all
    given = dict(line.split(maxsplit=1) for line in said.out.splitlines()[:3])
    assert given["candidate"] == candidate_of(manual)
    done = submit(manual, given["code"])
    assert done.success, done.error
    decision = approvals.latest(database(manual), TASK, candidate_of(manual))
    assert decision is not None
    assert (decision.decision, decision.authenticated, decision.approver) == ("approve", True, current_user())


def test_a_wrong_code_is_refused(manual: Path) -> None:
    code_for(manual)
    refused(submit(manual, "AAAA-BBBB-CCCC-DDDD"), manual, "code")


def test_a_used_code_is_refused(manual: Path) -> None:
    code = code_for(manual, "reject")
    assert submit(manual, code, decision="reject").success
    before = approvals.latest(database(manual), TASK, candidate_of(manual))
    done = submit(manual, code, decision="reject")
    assert not done.success
    assert "code" in done.error
    assert len(done.error.splitlines()) == 1
    assert approvals.latest(database(manual), TASK, candidate_of(manual)) == before


def test_a_code_for_the_other_decision_is_refused(manual: Path) -> None:
    refused(submit(manual, code_for(manual, "reject")), manual, "code")


def test_a_decision_about_another_candidate_is_refused(manual: Path) -> None:
    code = code_for(manual, candidate=OTHER)
    refused(submit(manual, code, candidate=OTHER), manual, "decision is about another candidate")


def test_a_code_for_another_candidate_is_refused(manual: Path) -> None:
    refused(submit(manual, code_for(manual, candidate=OTHER)), manual, "code")


def test_a_refused_decision_does_not_spend_its_code(manual: Path) -> None:
    code = code_for(manual)
    refused(submit(manual, code, candidate=OTHER), manual, "decision is about another candidate")
    assert submit(manual, code).success


def test_an_endpoint_without_an_approval_is_refused(manual: Path) -> None:
    done = click(manual, "deployed_endpoint")
    assert not done.success
    assert "candidate is not approved" in done.error
    assert "finetune approve" in done.error
    assert live_release(manual) is None
