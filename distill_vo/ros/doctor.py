"""What `distill_vo doctor` finds of ROS: rclpy, the messages, and how images travel between processes.

Importable without ROS: whether it is there is what is asked.
"""

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from distill_vo.doctor import Finding, importable, is_installed
from distill_vo.ros.process import FAST_DDS_TRANSPORTS, FAST_DDS_VARIABLE

MESSAGES = ("builtin_interfaces", "geometry_msgs", "sensor_msgs", "nav_msgs", "std_srvs", "diagnostic_msgs",
            "lifecycle_msgs", "rosgraph_msgs", "tf2_msgs")
RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
RECEIVE_BUFFER = Path("/proc/sys/net/core/rmem_max")
WANTED_BYTES = 4_000_000  # as FAST_DDS_TRANSPORTS asks for


def _ros() -> Iterator[Finding]:
    finding = importable("rclpy", "Source ROS 2 in this shell, as in `source /opt/ros/jazzy/setup.bash`; the "
                         "commands run and evaluate work without it.", "ROS")
    if finding.status == "ok":
        found = f"{os.environ.get('ROS_DISTRO', 'from wheels')}, {finding.found}"
        if hasattr(import_module("rclpy.subscription").Subscription, "CallbackType"):
            finding = Finding("ROS", "ok", found)
        else:
            finding = Finding("ROS", "wrong", f"{found}, which does not tell when messages were received",
                              "Use ROS 2 Jazzy or newer; the commands run and evaluate work without it.")
    yield finding


def _messages() -> Iterator[Finding]:
    if not is_installed("rclpy"):
        return
    kinds = [f"{package}.{'srv' if package.endswith('srvs') else 'msg'}" for package in MESSAGES]
    missing = [m for m in kinds if importable(m, "").status != "ok"]
    if missing:
        names = [m.partition(".")[0] for m in missing]
        packages = " ".join(f"ros-$ROS_DISTRO-{name.replace('_', '-')}" for name in names)
        yield Finding("messages", "wrong", f"{', '.join(names)} cannot be imported",
                      f"`sudo apt install {packages}`.")
    else:
        yield Finding("messages", "ok", f"all {len(MESSAGES)} packages")


def _transports() -> Iterator[Finding]:
    """Full frames at camera rate get lost between processes where Fast DDS's sockets are small."""
    if not is_installed("rclpy"):
        return
    from rclpy.utilities import get_rmw_implementation_identifier

    rmw = get_rmw_implementation_identifier()
    if "fastrtps" not in rmw:
        yield Finding("transports", "ok", f"{rmw}; {FAST_DDS_VARIABLE} is Fast DDS's and does not count")
        return
    given, reach = os.environ.get(FAST_DDS_VARIABLE), os.environ.get(RANGE)
    found = f"{rmw}, {FAST_DDS_VARIABLE} is {given or 'not set'}"
    if reach == "LOCALHOST":
        yield Finding("transports", "advice", f"{rmw}, {RANGE} is LOCALHOST, and {FAST_DDS_VARIABLE} has no "
                      "effect then", f"Unset {RANGE}, or start the node with image_reliability:=reliable.")
    elif not given:
        yield Finding("transports", "advice", f"{found}; the launch files set it for the node", "Start the "
                      f"camera driver with it too: `export {FAST_DDS_VARIABLE}='{FAST_DDS_TRANSPORTS}'`.")
    else:
        yield Finding("transports", "ok", found)
    granted = int(RECEIVE_BUFFER.read_text()) if RECEIVE_BUFFER.exists() else WANTED_BYTES
    if granted < WANTED_BYTES:
        yield Finding("sockets", "advice", f"the kernel grants a socket {granted} bytes",
                      "For cameras on other machines: `sudo sysctl -w net.core.rmem_max=4194304`.")


CHECKS = (_ros, _messages, _transports)
