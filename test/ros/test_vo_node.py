"""The node in a process of its own, spoken to over DDS."""

import signal

import numpy as np
import pytest
from std_srvs.srv import Trigger

from distill_vo import geometry
from distill_vo.camera import Camera
from distill_vo.odometry import VisualOdometry
from distill_vo.ros import messages
from distill_vo.ros.process import FAST_DDS_TRANSPORTS, FAST_DDS_VARIABLE
from distill_vo.student import Student

BASE_T_CAMERA = geometry.from_position_quaternion([0.3, 0.0, 1.65], [-0.5, 0.5, -0.5, 0.5])
NODE = "distill_vo.ros.vo_node"


def test_odometry_is_that_of_the_same_images_without_ros(run, robot, images, model):
    node = run(NODE, "--ros-args", "-p", f"model:={model}")
    robot.mount_camera()
    assert robot.meets_node(), node.log
    robot.calibrate()
    assert robot.show_until_answered(0), node.log
    for k in range(1, 8):
        assert robot.show_and_wait(k), node.log

    assert robot.stamps() == [robot.stamp_ns(k) for k in range(8)]
    camera = Camera.from_camera_info(robot.camera_info())
    odometry = VisualOdometry(Student.load(model), camera, BASE_T_CAMERA)
    for k, message in enumerate(robot.odometry):
        estimate = odometry.track(robot.stamp_ns(k), images[k])
        assert (message.header.frame_id, message.child_frame_id) == ("odom", "base_link")
        position, quaternion = messages.position_and_quaternion(message.pose.pose)  # to the last bit:
        assert position == estimate.pose[:3, 3].tolist()
        assert quaternion == geometry.quaternion_from_matrix(estimate.pose[:3, :3]).tolist()
        linear, angular = message.twist.twist.linear, message.twist.twist.angular
        twist = [linear.x, linear.y, linear.z, angular.x, angular.y, angular.z]
        assert twist == estimate.twist.tolist()
        assert np.array_equal(message.pose.covariance, estimate.pose_covariance.ravel())
        assert np.array_equal(message.twist.covariance, estimate.twist_covariance.ravel())
        for matrix in (estimate.pose_covariance, estimate.twist_covariance):
            assert np.allclose(matrix, matrix.T, rtol=1e-9, atol=1e-15)
            assert np.linalg.eigvalsh(matrix).min() > 0

    assert robot.until(lambda: len(robot.transforms) == 8 and len(robot.paths) > 0)
    for message, transform in zip(robot.odometry, robot.transforms, strict=True):
        assert transform.header == message.header
        assert transform.child_frame_id == message.child_frame_id
        assert transform.transform.rotation == message.pose.pose.orientation
        t, p = transform.transform.translation, message.pose.pose.position
        assert (t.x, t.y, t.z) == (p.x, p.y, p.z)
    assert robot.paths[-1].poses[-1].header.frame_id == "odom"

    reset = robot.node.create_client(Trigger, "vo_node/reset")
    assert robot.until(reset.service_is_ready)
    answer = reset.call_async(Trigger.Request())
    assert robot.until(answer.done) and answer.result().success
    assert robot.show_and_wait(8)  # nothing is remembered: this is the origin now
    assert robot.odometry[-1].pose.pose == robot.odometry[0].pose.pose

    assert node.stop(signal.SIGTERM) == 0
    assert "9 frames (0 lost)" in node.log


@pytest.fixture
def network(domain, monkeypatch):
    """Beyond LOCALHOST, which would leave the transports without effect."""
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    monkeypatch.delenv(FAST_DDS_VARIABLE, raising=False)


def test_with_its_transports_it_meets_a_camera_that_has_the_default_ones(network, robot, run, model,
                                                                         monkeypatch):
    monkeypatch.setenv(FAST_DDS_VARIABLE, FAST_DDS_TRANSPORTS)
    node = run(NODE, "--ros-args", "-p", f"model:={model}")
    robot.mount_camera()
    assert robot.meets_node(), node.log
    robot.calibrate()
    assert robot.show_until_answered(0), node.log
    assert node.stop() == 0


def test_another_calibration_and_a_gap_go_on_where_it_is_and_a_gap_is_told(run, robot, model):
    node = run(NODE, "--ros-args", "-p", f"model:={model}")
    robot.mount_camera()
    assert robot.meets_node(), node.log
    robot.calibrate()
    assert robot.show_until_answered(0), node.log
    for k in (1, 2, 3):
        assert robot.show_and_wait(k), node.log
    robot.focal_length = 200.0
    assert robot.show_and_wait(4), node.log
    first, *_, after = (message.pose for message in robot.odometry)
    assert messages.position_and_quaternion(after.pose)[0] != [0, 0, 0]
    assert (after.covariance.reshape(6, 6).diagonal() > first.covariance.reshape(6, 6).diagonal()).all()
    assert "lost:" not in node.log
    robot.delay_ns = 5 * 10**9
    assert robot.show_and_wait(5) and "tracking again" not in node.log
    assert robot.show_and_wait(6), node.log
    assert node.stop() == 0
    assert node.log.count("lost:") == 1 and node.log.count("tracking again") == 1
    assert node.log.count("another calibration") == 1


@pytest.mark.parametrize("missing, said", [
    ("calibrate", "nothing on /camera_info"),
    ("mount_camera", "--frame-id base_link --child-frame-id camera_optical")])
def test_nothing_is_published_before_calibration_and_mounting_are_known(run, robot, model, missing, said):
    node = run(NODE, "--ros-args", "-p", f"model:={model}")
    assert robot.meets_node(), node.log
    for piece in {"calibrate", "mount_camera"} - {missing}:
        getattr(robot, piece)()

    def is_told() -> bool:
        robot.show(0)
        return said in node.log

    assert robot.until(is_told), node.log
    assert not robot.odometry and not robot.transforms and not robot.paths
    getattr(robot, missing)()
    assert robot.show_until_answered(1), node.log
    assert node.stop(signal.SIGINT) == 0
    assert "before calibration and mounting were known" in node.log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_ends_it_well(run, robot, number):
    node = run(NODE)
    assert robot.until(lambda: _handles(node.process.pid, number))
    assert node.stop(number) == 0
    assert "stopped before" in node.log and "Traceback" not in node.log


def _handles(pid: int, number: int) -> bool:
    """Whether a process catches a signal by now (Linux); SIGTERM's handler is the last to be installed."""
    with open(f"/proc/{pid}/status") as status:
        caught = next(line for line in status if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_wrong_parameters_are_refused_in_one_sentence(run):
    cases = {("--ros-args", "-p", "device:=tpu"): "auto, cpu, cuda",
             ("--ros-args", "-p", "model:=nobody"): "'nobody'",
             ("--ros-args", "-p", f"model:={'n' * 300}"): "File name too long",
             ("--ros-args", "-p", "camera_hight:=1.2"): "camera_height",
             ("-p", "camera_height:=1.2"): "write --ros-args before"}
    programs = {case: run(NODE, *case) for case in cases}
    for case, program in programs.items():
        assert program.wait() == 2
        errors = [line for line in program.log.splitlines() if "error" in line.lower()]
        assert len(errors) == 1 and cases[case] in errors[0], program.log
        assert "Traceback" not in program.log


def test_two_nodes_run_side_by_side_under_namespaces(run, model, images, robot_in):
    robots = {name: robot_in(name) for name in ("front", "rear")}
    front, rear = robots.values()
    nodes = {name: run(NODE, "--ros-args", "-r", f"__ns:=/{name}", "-p", f"model:={model}",
                       "-p", f"odom_frame:={name}_odom", "-p", f"publish_tf:={str(name == 'front').lower()}")
             for name in robots}
    for name, robot in robots.items():
        robot.mount_camera()
        assert robot.meets_node(), nodes[name].log
        robot.calibrate()
    for name, robot in robots.items():
        assert robot.until(lambda robot=robot: robot.node.count_publishers("/tf") == 2), nodes[name].log
        assert robot.show_until_answered(0), nodes[name].log
    rear.images = images[::-1]
    for k in range(1, 5):
        for name, robot in robots.items():
            assert robot.show_and_wait(k), nodes[name].log
    for name, robot in robots.items():  # each has its own odometry, and no other
        assert robot.stamps() == [robot.stamp_ns(k) for k in range(5)]
        assert {m.header.frame_id for m in robot.odometry} == {f"{name}_odom"}
    assert front.odometry[-1].pose.pose != rear.odometry[-1].pose.pose

    def tf_came_to_the_rear():
        """Driving on: a node may hear of far listeners seconds later, and /tf keeps nothing."""
        front.show_and_wait(len(front.odometry))
        return rear.transforms
    assert rear.until(tf_came_to_the_rear), "/tf is everyone's"
    assert {t.header.frame_id for t in rear.transforms} == {"front_odom"}

    reset = front.node.create_client(Trigger, "vo_node/reset")
    assert front.until(reset.service_is_ready)
    assert front.until(reset.call_async(Trigger.Request()).done)
    for name, robot in robots.items():
        assert robot.show_and_wait(len(robot.odometry)), nodes[name].log
        position, _ = messages.position_and_quaternion(robot.odometry[-1].pose.pose)
        assert (position == [0.0, 0.0, 0.0]) == (name == "front")
    assert all(node.stop() == 0 for node in nodes.values())
