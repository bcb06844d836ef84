from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import pytest

from finetune_assets.storage import processes
from finetune_assets.storage.processes import ProcessMark, token_has_ended
from finetune_assets_tests.storage.processes import running, says

SCRIPT = """
    import dataclasses, json, time
    from finetune_assets.storage.processes import ProcessMark
    mark = ProcessMark.current()
    print(json.dumps(dataclasses.asdict(mark)), flush=True)
    time.sleep(600)
    """


def test_this_process_is_alive() -> None:
    mark = ProcessMark.current()
    assert mark.pid == os.getpid()
    assert mark == ProcessMark.current()
    assert not mark.is_dead()
    assert token_has_ended(mark.token) is False
    assert str(mark).startswith(f"process {os.getpid()} on ")


def test_a_pid_that_was_used_again_is_another_process() -> None:
    older = dataclasses.replace(ProcessMark.current(), started="1")
    assert older.is_dead()
    assert token_has_ended(older.token) is True


def test_another_host_cannot_be_known() -> None:
    elsewhere = dataclasses.replace(ProcessMark.current(), host="elsewhere/boot/pid:[1]", pid=2**22 + 1)
    assert not elsewhere.is_dead()
    assert token_has_ended(elsewhere.token) is None
    assert token_has_ended("") is None
    assert token_has_ended("no-token") is None


@pytest.mark.parametrize("reaped", [True, False])
def test_a_killed_process_is_dead_even_as_a_zombie(reaped: bool) -> None:
    import json

    with running(SCRIPT) as process:
        assert process.stdout is not None
        mark = ProcessMark(**json.loads(process.stdout.readline()))
        assert not mark.is_dead()
        process.send_signal(signal.SIGKILL)
        if reaped:
            process.wait()
        else:  # waits without reaping
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert mark.is_dead()
        assert token_has_ended(mark.token) is True


def test_a_stopped_process_is_alive() -> None:
    import json

    with running(SCRIPT) as process:
        assert process.stdout is not None
        mark = ProcessMark(**json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        assert not mark.is_dead()


def test_without_proc_psutil_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    mark = ProcessMark.current()
    assert mark.started.isdigit()
    assert not mark.is_dead()
    assert dataclasses.replace(mark, started="1").is_dead()
    with running("import time; print('go', flush=True); time.sleep(600)") as process:
        says(process, "go")
        other = ProcessMark(mark.host, process.pid, processes._start_of(process.pid) or "")
        assert not other.is_dead()
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert other.is_dead()
        process.wait()
        assert other.is_dead()
