from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.approvals import Redeemed, history, issue_code, latest, redeem_code
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.models import ApprovalCodeRow
from finetune_assets_tests.releases.conftest import TASK, said
from finetune_assets_tests.storage.processes import finish, says, spawn


def test_every_decision_is_kept_and_the_latest_is_found(db: Database) -> None:
    assert latest(db, TASK, "c") is None
    first = said(db, "c", "r", note="looks good")
    assert latest(db, TASK, "c") == first
    assert (first.decision, first.report_digest, first.note, first.person) == ("approve", "r", "looks good", "ann")
    second = said(db, "c", "r", "reject", approver="key:bob", channel="api")
    assert latest(db, TASK, "c") == second
    assert latest(db, TASK, "d") is None
    assert latest(db, "java", "c") is None
    assert history(db, TASK) == [first, second]
    assert history(db, "java") == []


def code(db: Database, **changes: object) -> str:
    facts = {"task": TASK, "candidate": "c" * 64, "decision": "approve", "approver": "ann"}
    return issue_code(db, **(facts | changes))  # type: ignore[arg-type]


def redeem(db: Database, text: str, task: str = TASK, candidate: str = "c" * 64, decision: str = "approve") -> str:
    return redeem_code(db, text, task, candidate, decision).approver  # type: ignore[arg-type]


@pytest.mark.parametrize("channel", ["cli", "launchpad"])
def test_a_code_says_over_which_channel_it_came(db: Database, channel: str) -> None:
    text = code(db, channel=channel)
    assert redeem_code(db, text, TASK, "c" * 64, "approve") == Redeemed("ann", channel)  # type: ignore[arg-type]


def test_a_code_names_its_approver_once(db: Database) -> None:
    text = code(db)
    assert re.fullmatch(r"[A-Z2-7]{4}(-[A-Z2-7]{4}){3}", text)
    assert redeem(db, text) == "ann"
    with pytest.raises(FinetuneError, match="used already") as caught:
        redeem(db, text)
    line = str(caught.value)
    assert "\n" not in line
    assert f"finetune approve-code {TASK} cccccccccccc approve" in line
    assert text not in line


def test_a_code_is_kept_as_its_hash_only(db: Database) -> None:
    text = code(db)
    with db.reading() as session:
        row = session.scalars(select(ApprovalCodeRow)).one()
    assert re.fullmatch(r"[0-9a-f]{64}", row.code_hash)
    kept = repr(vars(row)).upper()
    assert text not in kept
    assert text.replace("-", "") not in kept


def test_codes_differ(db: Database) -> None:
    assert len({code(db) for _ in range(50)}) == 50


@pytest.mark.parametrize("typed", ["{}", " {} ", "{}\n"])
def test_case_spaces_and_dashes_do_not_matter(db: Database, typed: str) -> None:
    text = code(db)
    assert redeem(db, typed.format(text.lower().replace("-", " "))) == "ann"


@pytest.mark.parametrize(
    "changes",
    [{"task": "java"}, {"candidate": "d" * 64}, {"decision": "reject"}],
    ids=["task", "candidate", "decision"],
)
def test_a_code_for_something_else_is_refused_and_not_spent(db: Database, changes: dict[str, str]) -> None:
    text = code(db)
    with pytest.raises(FinetuneError, match="a code to approve cccccccccccc of childcare"):
        redeem(db, text, **changes)
    assert redeem(db, text) == "ann"


def test_a_code_expires_after_a_quarter_of_an_hour(db: Database) -> None:
    text = code(db)
    with db.reading() as session:
        left = session.scalars(select(ApprovalCodeRow.expires_at)).one() - utc_now()
    assert timedelta(minutes=14) < left <= timedelta(minutes=15)
    with db.session() as session:
        session.execute(update(ApprovalCodeRow).values(expires_at=utc_now() - timedelta(seconds=1)))
    with pytest.raises(FinetuneError, match="expired"):
        redeem(db, text)


@pytest.mark.parametrize("text", ["", "----", "AAAA-BBBB-CCCC-DDDD", "ä" * 16])
def test_unknown_codes(db: Database, text: str) -> None:
    code(db)
    with pytest.raises(FinetuneError, match="unknown code"):
        redeem(db, text)


REDEEMS = """
    import sys
    from finetune_assets.records.errors import FinetuneError
    from finetune_assets.releases.approvals import redeem_code
    from finetune_assets.storage.database import Database
    database = Database.open(sys.argv[1])
    print("go", flush=True)
    codes = sys.stdin.readline().split()
    won = []
    for code in codes:
        try:
            won.append(redeem_code(database, code, "t", "c", "approve"))
        except FinetuneError as error:
            assert "used already" in str(error), error
    print(len(won))
    """


def test_of_two_processes_exactly_one_spends_each_code(db: Database) -> None:
    codes = [code(db, task="t", candidate="c") for _ in range(30)]
    processes = [spawn(REDEEMS, db.url) for _ in range(2)]
    for process in processes:
        says(process, "go")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(" ".join(codes) + "\n")
        process.stdin.flush()
    assert sum(int(finish(process)) for process in processes) == 30
