"""Whatever happens to a drive: true to its covariance, never NaN, and tracking again soon after."""

import numpy as np
import pytest
import seen  # noqa: F401
import told  # noqa: F401
from drive import FAULTS, RECOVERY, Drive


def test_there_are_many():
    assert len(FAULTS) >= 25


@pytest.mark.parametrize("name", FAULTS)
def test_the_node_keeps_its_promises(name):
    fault = FAULTS[name]
    drive = Drive(fault).run()
    assert set(drive.said) <= fault.expect and bool(drive.during) == bool(fault.expect)
    assert drive.recovered_after is not None and drive.recovered_after <= RECOVERY
    for message in drive.bench.odometry:
        for values in (message.pose.covariance, message.twist.covariance):
            covariance = values.reshape(6, 6)
            np.testing.assert_allclose(covariance, covariance.T, rtol=1e-9, atol=1e-15)
            assert np.isfinite(covariance).all() and np.linalg.eigvalsh(covariance).min() > 0
        linear, angular = message.twist.twist.linear, message.twist.twist.angular
        assert np.isfinite([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z]).all()
    assert drive.step_error_m() < 1.0
    if not fault.anew:
        assert drive.pose_error()[1] < 40
