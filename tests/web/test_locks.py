"""What doctor says of locks: a real process holds a real one."""

import os
import subprocess
import sys
import time

import pytest

from archive import lock
from web import locks

HOLD = "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(600)"


def test_locks_that_nobody_holds_are_well(data: str) -> None:
    assert locks.look(data) == locks.Locks([], [])


def test_a_lock_that_everybody_may_open_is_named(data: str) -> None:
    path = os.path.join(data, lock.LOCK)
    with lock.locked(data):
        os.chmod(path, 0o644)
    assert locks.look(data).open == [path]
    os.chmod(path, 0o660)  # the form with two users of one group
    assert locks.look(data).open == []


def test_a_lock_is_held_too_long_by_the_age_of_its_holder(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.path.join(data, lock.LOCK)
    with lock.locked(data):
        pass
    began = time.monotonic()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert locks.look(data) == locks.Locks([], []), "a minute's step may hold it"
        assert 0 < locks.held_for(path) < time.monotonic() - began + 1
        monkeypatch.setitem(locks.LONGEST, lock.LOCK, 0)
        assert locks.look(data).held == [path]
    finally:
        holder.kill()
        holder.communicate()
    assert locks.look(data).held == []
