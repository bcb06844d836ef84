import os
import signal
import subprocess
import sys
import time

import psutil

from finetune_assets.training.parent import PARENT_GONE_EXIT

CHILD = """
import pathlib, sys, time
from finetune_assets.training.parent import end_with_parent
end_with_parent(EXPECTED)
pathlib.Path(sys.argv[1]).write_text(str(__import__('os').getpid()))
time.sleep(120)
"""


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_a_killed_parent_takes_its_child_along(tmp_path):
    place = tmp_path / "pid"
    child = CHILD.replace("EXPECTED", "None")
    parent_code = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}, {str(place)!r}])\n"
        "time.sleep(120)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", parent_code])
    try:
        wait_for(lambda: place.exists() and place.read_text())
        pid = int(place.read_text())
        assert psutil.pid_exists(pid)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(10)
        wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    finally:
        parent.kill()


def test_a_parent_that_died_before_is_noticed_at_once(tmp_path):
    place = tmp_path / "pid"
    # Process 1 is not our parent.
    done = subprocess.run([sys.executable, "-c", CHILD.replace("EXPECTED", "1"), str(place)], timeout=60)
    assert done.returncode == PARENT_GONE_EXIT
    assert not place.exists()
