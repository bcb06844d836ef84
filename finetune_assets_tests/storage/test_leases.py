from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.leases import lease, lease_holder
from finetune_assets.storage.models import LeaseRow
from finetune_assets_tests.storage.processes import finish, running, says, spawn

HOLDS = """
    import sys, time
    from finetune_assets.storage.database import Database
    from finetune_assets.storage.leases import lease
    with lease(Database.open(sys.argv[1]), "task/x", ttl_s=float(sys.argv[2])):
        print("held", flush=True)
        time.sleep(600)
    """


def take(db: Database, **options: float) -> int:
    with lease(db, "task/x", **options) as held:
        held.check()
        return held.fence


def test_the_fence_grows_with_every_acquisition(db: Database) -> None:
    assert [take(db) for _ in range(4)] == [1, 2, 3, 4]
    assert lease_holder(db, "task/x") is None


def test_names_do_not_hinder_each_other(db: Database) -> None:
    with lease(db, "task/x") as one, lease(db, "task/y") as other:
        one.check()
        other.check()
        assert lease_holder(db, "task/x") is not None
        assert lease_holder(db, "task/y") is not None


def test_it_excludes_the_same_process_too_and_names_the_holder(db: Database) -> None:
    with lease(db, "task/x") as held:
        with pytest.raises(StorageError) as caught:
            take(db)
        held.check()
    line = str(caught.value)
    assert "lease task/x" in line
    assert f"process {os.getpid()} on " in line
    assert "\n" not in line
    assert take(db) == 2


def test_it_is_given_back_when_the_block_raises(db: Database) -> None:
    def fail() -> None:
        with lease(db, "task/x"):
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        fail()
    assert take(db) == 2


def test_another_process_holds_it_out(db: Database) -> None:
    with running(HOLDS, db.url, 600) as holder:
        says(holder, "held")
        with pytest.raises(StorageError, match=f"process {holder.pid} on "):
            take(db)
        found = lease_holder(db, "task/x")
        assert found is not None
        assert found.process.pid == holder.pid


@pytest.mark.parametrize("reaped", [True, False])
def test_the_lease_of_a_killed_process_is_taken_over_at_once(db: Database, reaped: bool) -> None:
    with running(HOLDS, db.url, 600) as holder:
        says(holder, "held")
        holder.send_signal(signal.SIGKILL)
        if reaped:
            holder.wait()
        else:
            os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
        start = time.monotonic()
        assert take(db) == 2
        assert time.monotonic() - start < 2
        assert lease_holder(db, "task/x") is None


def test_a_frozen_process_loses_it_by_expiry_and_notices(db: Database) -> None:
    script = HOLDS.replace("time.sleep(600)", "sys.stdin.readline(); held.check()").replace(")):", ")) as held:")
    with running(script, db.url, 0.5) as holder:
        says(holder, "held")
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(StorageError, match=f"process {holder.pid} on "):
            take(db)
        assert take(db, wait_s=20) == 2
        with lease(db, "task/x") as mine:
            holder.send_signal(signal.SIGCONT)
            _, err = holder.communicate("\n", timeout=30)
            assert holder.returncode != 0
            assert "the lease was lost" in err
            assert f"held by process {os.getpid()} on " in err
            mine.check()  # what the loser did on its way out did not touch the new holder's lease


def test_the_heartbeat_keeps_it_beyond_its_time_to_live(db: Database) -> None:
    with lease(db, "task/x", ttl_s=0.4) as held:
        first = lease_holder(db, "task/x")
        time.sleep(1.2)
        held.check()
        with pytest.raises(StorageError, match="another process is at it"):
            take(db)
        later = lease_holder(db, "task/x")
        assert first is not None
        assert later is not None
        assert later.expires_at > first.expires_at
        assert later.fence == first.fence


def test_check_sees_an_expired_and_a_stolen_lease(db: Database) -> None:
    with lease(db, "task/x", ttl_s=600) as held:
        with db.session() as session:
            session.execute(update(LeaseRow).values(expires_at=utc_now() - timedelta(seconds=1)))
        with pytest.raises(StorageError, match="found expired"):
            held.check()
        with lease(db, "task/x") as thief:
            with pytest.raises(StorageError, match=r"the lease was lost.*held by process"):
                held.check()
            assert thief.fence == 2
    assert lease_holder(db, "task/x") is None


def test_a_host_that_vanished_is_waited_for_until_expiry(db: Database) -> None:
    now = utc_now()
    with db.session() as session:
        session.add(
            LeaseRow(
                name="task/x",
                holder="someone",
                host="elsewhere/boot/pid:[1]",
                pid=2**22 + 1,
                process_started="1",
                acquired_at=now,
                expires_at=now + timedelta(seconds=600),
                fence=7,
            )
        )
    with pytest.raises(StorageError, match="on elsewhere,"):
        take(db)
    with db.session() as session:
        session.execute(update(LeaseRow).values(expires_at=utc_now() + timedelta(seconds=0.2)))
    assert take(db, wait_s=20) == 8


def test_waiting_ends_when_the_holder_does(db: Database) -> None:
    script = HOLDS.replace("time.sleep(600)", "sys.stdin.readline()")
    with running(script, db.url, 600) as holder:
        says(holder, "held")
        start = time.monotonic()
        with pytest.raises(StorageError, match="another process"):
            take(db, wait_s=0.2)
        assert time.monotonic() - start >= 0.2
        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert take(db, wait_s=30) == 2


COUNTS = """
    import sys
    from pathlib import Path
    from finetune_assets.storage.database import Database
    from finetune_assets.storage.leases import lease
    database, counter = Database.open(sys.argv[1]), Path(sys.argv[2])
    for _ in range(20):
        with lease(database, "counter", wait_s=60) as held:
            seen = int(counter.read_text())
            held.check()
            counter.write_text(str(seen + 1))
    """


def test_three_processes_never_hold_it_together(db: Database, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    for process in [spawn(COUNTS, db.url, counter) for _ in range(3)]:
        finish(process)
    assert counter.read_text() == "60"


def test_a_database_that_fails_at_the_end_does_not_hide_how_the_block_ended(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone() -> None:
        raise StorageError("the database is busy")

    def fail() -> None:
        with lease(db, "task/x"):
            monkeypatch.setattr(db, "session", gone)
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        fail()
    assert "was not given back" in caplog.text
    monkeypatch.undo()
    assert lease_holder(db, "task/x") is not None  # it ends with its time to live, or with this process


def test_a_failed_heartbeat_tries_again(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone() -> None:
        raise StorageError("the database is busy")

    with lease(db, "task/x", ttl_s=3) as held:
        monkeypatch.setattr(db, "session", gone)
        time.sleep(1.2)
        monkeypatch.undo()
        assert "was not renewed, trying again" in caplog.text
        time.sleep(2.4)
        held.check()
