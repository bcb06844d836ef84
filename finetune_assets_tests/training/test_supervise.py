import os
import signal
import subprocess
import sys
import time

import pytest

from finetune_assets.training.batches import OUT_OF_MEMORY_EXIT
from finetune_assets.training.supervise import kernel_kills, main, ran_out_of_memory, supervise


def script(text):
    return lambda halvings: [sys.executable, "-c", text.replace("HALVINGS", str(halvings))]


def run(text, batch_size=8):
    lines: list[str] = []
    return supervise(script(text), batch_size, say=lines.append), lines


def test_success_and_failure_pass_through():
    assert run("raise SystemExit(0)") == (0, [])
    assert run("raise SystemExit(3)") == (3, [])


def test_want_of_memory_halves_the_batch_until_it_fits():
    code, lines = run(f"raise SystemExit(0 if HALVINGS == 2 else {OUT_OF_MEMORY_EXIT})")
    assert code == 0
    assert lines == [
        "memory ran out; starting again with 4 rows in a forward pass",
        "memory ran out; starting again with 2 rows in a forward pass",
    ]


def test_one_row_is_the_end():
    code, lines = run(f"raise SystemExit({OUT_OF_MEMORY_EXIT})", batch_size=2)
    assert code == OUT_OF_MEMORY_EXIT
    assert lines[-1].startswith("memory ran out with one row in a forward pass. Mend: ")


def test_a_later_run_starts_where_memory_sufficed(tmp_path):
    memory = tmp_path / "checkpoints" / "halvings"
    text = f"raise SystemExit(0 if HALVINGS == 2 else {OUT_OF_MEMORY_EXIT})"
    first: list[str] = []
    assert supervise(script(text), 8, say=first.append, memory=memory) == 0
    again: list[str] = []
    assert supervise(script(text), 8, say=again.append, memory=memory) == 0
    assert (len(first), again, memory.read_text()) == (2, [], "2")


def test_a_kill_from_elsewhere_is_no_reason_for_a_smaller_batch():
    code, lines = run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    if kernel_kills() == 0:
        assert lines == []
    assert code == 137


def test_what_counts_as_want_of_memory():
    assert ran_out_of_memory(OUT_OF_MEMORY_EXIT, 0, 0)
    assert ran_out_of_memory(-signal.SIGKILL, 4, 5)
    assert ran_out_of_memory(137, 4, 5)
    assert not ran_out_of_memory(-signal.SIGKILL, 4, 4)
    assert not ran_out_of_memory(1, 4, 5)
    assert not ran_out_of_memory(0, 4, 5)


def test_kernel_counters_are_read(tmp_path):
    (tmp_path / "memory.events").write_text("low 0\noom 9\noom_kill 2\noom_group_kill 7\n")
    (tmp_path / "vmstat").write_text("nr_free_pages 5\noom_kill 3\n")
    assert kernel_kills([tmp_path / "memory.events", tmp_path / "vmstat", tmp_path / "missing"]) == 5


@pytest.mark.parametrize("text", [None, "{", "[]", '{"request": {}}'])
def test_a_bad_job_file_is_one_line(tmp_path, capsys, text):
    path = tmp_path / "job.json"
    if text is not None:
        path.write_text(text)
    assert main([str(path)]) == 1
    assert str(path) in capsys.readouterr().err


def test_a_request_to_stop_reaches_the_trainer(tmp_path):
    ready, told = tmp_path / "ready", tmp_path / "told"
    trainer = (
        "import pathlib, signal, sys, time\n"
        f"def stop(*_): pathlib.Path({str(told)!r}).touch(); sys.exit(143)\n"
        f"signal.signal(signal.SIGTERM, stop); pathlib.Path({str(ready)!r}).touch()\n"
        "time.sleep(60)\n"
    )
    text = (
        "import sys\nfrom finetune_assets.training.supervise import supervise\n"
        f"sys.exit(supervise(lambda _: [sys.executable, '-c', {trainer!r}], 8, say=print))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", text])
    try:
        wait_for(ready.exists)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(20) == 143
    finally:
        process.kill()
    assert told.exists()


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
