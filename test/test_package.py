"""What an installation brings: one version, every model, launch and configuration file, and TF."""

import ast
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = [
    *(ROOT / "launch").glob("*.launch.py"),
    *(ROOT / "config").glob("*.yaml"),
    *(ROOT / "config").glob("*.rviz"),
    *(ROOT / "config").glob("*.xml"),
]
MODELS = list((ROOT / "distill_vo" / "models").glob("*"))


def setup_py(*arguments):
    return subprocess.run(
        [sys.executable, "setup.py", "-q", *map(str, arguments)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


def imports(path):
    """Top-level names of the modules that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def test_package_xml_and_setup_py_agree():
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    described = [package.findtext(key) for key in ("name", "version", "license")]
    assert described == setup_py("--name", "--version", "--license").split()


def test_a_wheel_holds_what_a_robot_needs_and_no_more(tmp_path):
    setup_py("egg_info", "--egg-base", tmp_path, "build", "--build-base", tmp_path / "build",
             "bdist_wheel", "--dist-dir", tmp_path, "--bdist-dir", tmp_path / "wheel")  # fmt: skip
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    share = "distill_vo-.*.data/data/share"
    wanted = [
        f"{share}/ament_index/resource_index/packages/distill_vo",
        f"{share}/distill_vo/package.xml",
        *(f"{share}/distill_vo/{path.relative_to(ROOT)}" for path in SHARED),
        *(f"{share}/distill_vo/models/{path.name}" for path in MODELS),
        *(f"distill_vo/models/{path.name}" for path in MODELS),
    ]
    missing = [name for name in wanted if not any(re.fullmatch(name, found) for found in names)]
    assert MODELS and SHARED and not missing
    assert not [name for name in names if name.startswith(("training", "test", "tools"))]


@pytest.mark.skipif(not shutil.which("colcon", path=Path(sys.executable).parent), reason="no colcon")
@pytest.mark.parametrize("options", [[], ["--symlink-install"]], ids=["copied", "symlinked"])
def test_colcon_installs_where_ros2_run_and_ros2_launch_look(tmp_path, options):
    subprocess.run(
        [Path(sys.executable).with_name("colcon"), "--log-base", tmp_path / "log", "build",
         "--base-paths", ROOT, "--build-base", tmp_path / "build",
         "--install-base", tmp_path / "install", *options],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    prefix = tmp_path / "install" / "distill_vo"
    share = prefix / "share"
    assert (share / "ament_index/resource_index/packages/distill_vo").is_file()
    assert not [path for path in SHARED if not (share / "distill_vo" / path.relative_to(ROOT)).is_file()]
    assert not [path for path in MODELS if not (share / "distill_vo/models" / path.name).is_file()]
    for command in ("distill_vo", "vo_node", "replay"):
        assert os.access(prefix / "lib" / "distill_vo" / command, os.X_OK)


def test_every_requirement_is_pinned_in_one_place():
    lines = [
        line
        for name in ("requirements.txt", "requirements-ros.txt")
        for line in (ROOT / name).read_text().splitlines()
        if line and not line.startswith("#")
    ]
    names = [re.fullmatch(r"([A-Za-z0-9-]+)==[0-9.]+", line)[1].lower() for line in lines]
    assert len(names) == len(set(names))


def test_the_robot_needs_no_training_code_and_only_the_ros_room_needs_ros():
    ros = {"rclpy", "tf2_ros", "tf2_msgs", "sensor_msgs", "nav_msgs", "geometry_msgs", "std_msgs"}
    for path in (ROOT / "distill_vo").rglob("*.py"):
        found = set(imports(path))
        assert "training" not in found, path
        assert path.parent.name == "ros" or not found & ros, path


def test_transforms_travel_over_dds_as_the_type_that_robots_speak():
    rclpy = pytest.importorskip("rclpy")
    from domain_coordinator import domain_id
    from geometry_msgs.msg import TransformStamped
    from tf2_msgs.msg import TFMessage

    sent = TFMessage(transforms=[TransformStamped(child_frame_id="base_link")])
    context = rclpy.Context()
    with domain_id() as domain:
        rclpy.init(context=context, domain_id=domain)
        node = rclpy.create_node("transforms", context=context)
        executor = rclpy.executors.SingleThreadedExecutor(context=context)
        executor.add_node(node)
        received = rclpy.Future(executor=executor)
        node.create_subscription(TFMessage, "/tf", received.set_result, 1)
        publisher = node.create_publisher(TFMessage, "/tf", 1)
        node.create_timer(0.05, lambda: publisher.publish(sent))
        executor.spin_until_future_complete(received, timeout_sec=10)
        [endpoint] = node.get_publishers_info_by_topic("/tf")
        executor.shutdown()
        node.destroy_node()
        context.shutdown()
    assert received.result() == sent
    assert str(endpoint.topic_type_hash).startswith("RIHS01_e369d0f05a23ae52")
