"""For the tests of the site: the same Argon2id, at a cost that lets a thousand guesses be tested."""

from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher

from web import passwords


@pytest.fixture(autouse=True, scope="session")
def cheap_passwords() -> Iterator[None]:
    cheap = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", lambda: cheap)
        passwords._nobody.cache_clear()
        yield
    passwords._nobody.cache_clear()
