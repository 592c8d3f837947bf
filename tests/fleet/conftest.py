"""A centre on each of the two engines, and machines that send to it."""

import os

import pytest

from tests.fleet.fleet import Centre, Machine, centre_data, serving


@pytest.fixture(params=["sqlite", "postgresql"])
def centre(request, tmp_path):
    return Centre(centre_data(str(tmp_path / "centre"), request.param))


@pytest.fixture
def served(centre):
    with serving(centre) as found:
        yield found


@pytest.fixture
def machine(tmp_path):
    """Makes machines by name."""
    return lambda name="one", uid="": Machine(os.path.join(str(tmp_path), name), name, uid)
