import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from veriloop.local.process import count_threads
from veriloop.pipeline.worker import open_pool

FAULTS = """
import resource, torch
count = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(15):
    torch.ones(20_000_000)
before = count()
for _ in range(5):
    torch.ones(20_000_000)
assert count() - before < 1_000, count() - before
"""
"""Makes and drops 80 MB again and again and counts the pages asked of the system."""

PARENT = """
import os, sys, time
from pathlib import Path
from veriloop.pipeline.worker import open_pool

def linger(out):
    (out / "written").write_text(str(os.getpid()))
    (out / "written").rename(out / "pid")
    time.sleep(600)

if __name__ == "__main__":
    with open_pool(1) as pool:
        pool.submit(linger, Path(sys.argv[1])).result()
"""
"""Its worker leaves its process id in a file, then works for longer than any test waits."""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie that nobody has waited for yet does no more work.
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_workers_keep_freed_memory():
    with open_pool(1) as pool:
        assert pool.submit(exec, FAULTS, {}).result() is None


def test_workers_share_the_threads(monkeypatch: pytest.MonkeyPatch):
    # Three each: neither what a fresh process takes by itself nor what the environment of the tests gives it.
    monkeypatch.setattr("veriloop.pipeline.worker.count_threads", lambda: 6)
    with open_pool(2) as pool:
        assert pool.submit(count_threads).result() == 3


def test_a_worker_ends_when_its_parent_is_killed(tmp_path: Path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)])
    try:
        assert wait_for((tmp_path / "pid").exists, 60)
        worker = int((tmp_path / "pid").read_text())
        assert is_running(worker)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert wait_for(lambda: not is_running(worker), 10)
