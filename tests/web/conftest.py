"""For the tests of the site: the same Argon2id, at a cost that lets a thousand guesses be tested."""

import fcntl
import os
from collections.abc import Iterator
from typing import Any

import pytest
from argon2 import PasswordHasher

from tests import engines
from tests.web import browsing, site, year
from web import passwords


@pytest.fixture(autouse=True, scope="session")
def cheap_passwords() -> Iterator[None]:
    cheap = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", lambda: cheap)
        passwords._nobody.cache_clear()
        yield
    passwords._nobody.cache_clear()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for all tests of a file."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browsing.CHROMIUM, args=browsing.FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def a_year(tmp_path_factory: pytest.TempPathFactory, cheap_passwords: None) -> str:
    """The data folder of a year with its administrator, made once for all processes of a run; nobody writes into it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    made = base / "year"
    with open(base / "year.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "whole").exists():
            year.build(str(made), year.LIGHT)
            site.add_person(str(made))
            if engines.ON_POSTGRESQL:  # each process has a PostgreSQL of its own
                engines.dump(str(made), str(base / "year.dump"))
            (made / "whole").touch()
        elif engines.ON_POSTGRESQL:
            engines.restore(str(made), str(base / "year.dump"))
    return str(made)
