"""Every target, those of ROS where it is there."""

from importlib.util import find_spec

import hostile

TARGETS = dict(hostile.TARGETS)
if find_spec("rclpy"):
    import hostile_ros

    TARGETS |= hostile_ros.TARGETS
