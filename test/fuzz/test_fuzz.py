"""A short look at what hostile input does, the same cases every time; `python test/fuzz` takes long."""

from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, given, settings
from targets import TARGETS

from training.programs import LOCAL, own_domain


@pytest.fixture(scope="module", autouse=True)
def domain():
    """Keeps the nodes among the targets apart from every other on the machine."""
    if not find_spec("rclpy"):
        yield
        return
    from hostile_ros import close

    with own_domain(LOCAL):
        yield
        close()


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_input_is_refused_or_used_and_never_a_crash(name):
    target = TARGETS[name]

    @settings(max_examples=30, derandomize=True, deadline=None, database=None,
              suppress_health_check=list(HealthCheck))
    @given(target.cases)
    def survives(case):
        target.survives(case)

    survives()
