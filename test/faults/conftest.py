"""The list of faults lies beside the tests; there are none without ROS 2."""

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
if find_spec("rclpy") is None:
    collect_ignore_glob = ["test_*.py"]
