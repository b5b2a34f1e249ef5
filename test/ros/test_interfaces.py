"""What the node promises beside odometry itself: frames, services, parameters, topics."""

from dataclasses import replace

import numpy as np
import pytest
from bench import CAMERA, FORWARD, PERIOD_NS, Bench, camera_info, drive, image_message, ready
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from distill_vo import geometry
from distill_vo.camera import Camera
from distill_vo.ros import messages
from distill_vo.ros.waiting import why_nothing_comes
from distill_vo.sources.bag_poses import parents


def pose_of(message) -> np.ndarray:
    return geometry.from_position_quaternion(*messages.position_and_quaternion(message.pose.pose))


@pytest.mark.parametrize("yaw", [1.57, 3.0], ids=["left", "back"])
def test_a_camera_that_does_not_look_ahead_moves_its_base_too(bench, images, yaw):
    looking = geometry.from_motion(np.array([0.4, 0.1, 0.0, 0.0, 0.0, yaw])) @ FORWARD
    camera, robot = ready(bench(base_frame="camera_optical")), ready(bench(), looking)
    camera.mount(np.eye(4), "camera_optical", "unused")
    for of_camera, of_base in zip(drive(camera, images[:4]), drive(robot, images[:4]), strict=True):
        expected = looking @ pose_of(of_camera) @ geometry.inverse(looking)
        np.testing.assert_allclose(pose_of(of_base), expected, atol=1e-9)


@pytest.mark.parametrize("rotation", [[0, 0, 1.57], [0.0, 0.35, 0], [1.57, 0, 0]],
                         ids=["left", "down", "rolled"])
@pytest.mark.parametrize("base", ["base_link", "base_footprint"])
def test_any_mounting_and_base_moves_as_the_camera_moves(bench, images, base, rotation):
    lever = geometry.from_motion(np.array([0.4, 0.1, 0.0, 0.0, 0.0, 0.0]))
    looking = geometry.from_motion(np.array([0.0, 0.0, 0.0, *rotation])) @ FORWARD
    camera = bench(base_frame="camera_body")
    camera.mount(looking, "camera_body")
    camera.calibrate(CAMERA)
    robot = bench(base_frame=base)
    robot.mount(lever @ looking, base)
    robot.calibrate(CAMERA)
    for of_camera, of_base in zip(drive(camera, images[:4]), drive(robot, images[:4]), strict=True):
        expected = lever @ pose_of(of_camera) @ geometry.inverse(lever)
        np.testing.assert_allclose(pose_of(of_base), expected, atol=1e-9)
        assert of_base.child_frame_id == base


def test_the_mounting_is_looked_up_once(bench, images):
    robot, again = ready(bench()), ready(bench())
    drive(robot, images[:3])
    drive(again, images[:3])
    again.mount(np.eye(4))
    for a, b in zip(drive(robot, images[3:6], 3), drive(again, images[3:6], 3), strict=True):
        assert a == b


def test_tf_is_odom_to_base_or_the_other_way_or_nothing(bench, images):
    usual, inverted, silent = (ready(bench(**p)) for p in ({}, {"invert_tf": True}, {"publish_tf": False}))
    for robot in (usual, inverted, silent):
        drive(robot, images[:3])
    a, b = usual.transforms[-1], inverted.transforms[-1]
    assert (a.header.frame_id, a.child_frame_id) == ("odom", "base_link")
    assert (b.header.frame_id, b.child_frame_id) == ("base_link", "odom")
    (_, forth), (_, back) = parents(TFMessage(transforms=[a, b])).values()
    np.testing.assert_allclose(forth @ back, np.eye(4), atol=1e-12)
    assert not silent.transforms and len(silent.odometry) == 3


def test_frames_are_named_as_tf2_takes_them(bench, images):
    robot = ready(bench(odom_frame="/odom", base_frame="/base_link"))
    drive(robot, images[:2])
    odometry, transform, path = robot.odometry[-1], robot.transforms[-1], robot.paths[-1]
    assert (odometry.header.frame_id, odometry.child_frame_id) == ("odom", "base_link")
    assert (transform.header.frame_id, transform.child_frame_id) == ("odom", "base_link")
    assert path.header.frame_id == path.poses[-1].header.frame_id == "odom"


@pytest.mark.parametrize("frames, said", [
    ({"odom_frame": ""}, "'odom_frame': is empty"), ({"base_frame": "/"}, "'base_frame': is empty"),
    ({"odom_frame": "/base_link"}, "are both base_link")])
def test_a_frame_without_a_name_or_that_is_its_own_parent_is_refused(bench, frames, said):
    assert said in str(bench(**frames).node.fault)


def test_a_planar_robot_neither_climbs_nor_tilts_and_says_how_sure_it_is(bench, images):
    looking = geometry.from_motion(np.array([0.0, 0, 0, 0.1, 0.2, 0.3])) @ FORWARD
    for message in drive(ready(bench(planar=True), looking), images):
        pose, twist = pose_of(message), message.twist.twist
        assert pose[2, 3] == 0 and np.allclose(pose[2, :2], 0) and pose[2, 2] == pytest.approx(1)
        assert np.allclose([twist.linear.z, twist.angular.x, twist.angular.y], 0, atol=1e-12)
        for values in (message.pose.covariance, message.twist.covariance):
            covariance = values.reshape(6, 6)
            assert np.linalg.eigvalsh(covariance).min() > 0
            assert np.all(covariance.diagonal()[2:5] <= 1e-6) and np.allclose(covariance[2:5, [0, 1, 5]], 0)


def test_the_scale_comes_from_tf_where_the_height_is_zero(bench, images):
    known, from_tf = ready(bench(camera_height=1.3)), bench(camera_height=0.0)
    from_tf.calibrate(CAMERA)
    from_tf.mount()
    drive(from_tf, images[:2])
    assert not from_tf.odometry  # the ground is not known yet
    from_tf.mount(geometry.from_motion(np.array([0, 0, -0.35, 0, 0, 0])), "base_footprint", "base_link")
    for a, b in zip(drive(known, images), drive(from_tf, images), strict=True):
        np.testing.assert_allclose(pose_of(a), pose_of(b), atol=1e-9)


def test_a_ground_above_the_camera_is_refused(bench, images):
    robot = ready(bench(camera_height=0.0))
    robot.mount(geometry.from_motion(np.array([0, 0, -2.0, 0, 0, 0])), "base_footprint", "base_link")
    drive(robot, images[:2])
    assert not robot.odometry and robot.node.health.unusable == 2


def test_a_calibration_file_stands_in_for_the_topic(bench, images, tmp_path):
    (tmp_path / "camera.yaml").write_text(
        "image_width: 320\nimage_height: 96\ndistortion_model: plumb_bob\n"
        "camera_matrix: {data: [190., 0, 159.5, 0, 190., 45., 0, 0, 1]}\n")
    from_file, from_topic = bench(calibration=str(tmp_path / "camera.yaml")), ready(bench())
    from_file.mount()
    assert "/camera_info" not in {s.topic_name for s in from_file.node.subscriptions}
    assert drive(from_file, images[:4]) == drive(from_topic, images[:4])


def test_a_calibration_file_that_is_none_fails_to_configure(bench):
    assert "nowhere.yaml" in str(bench(calibration="nowhere.yaml").node.fault)


def test_a_calibration_that_is_none_is_not_said_to_be_missing(bench, monkeypatch):
    asked = []
    monkeypatch.setattr("distill_vo.ros.node.why_nothing_comes",
                        lambda _, subscription: asked.append(subscription.topic_name) or "")
    robot, message = bench(), camera_info(CAMERA)
    robot.node._say_what_is_missing()
    assert "/camera_info" in asked
    asked.clear()
    message.k = np.zeros(9)  # of a camera that is not calibrated
    robot.node._on_camera_info(message)
    robot.node._say_what_is_missing()
    assert "/camera_info" not in asked


def test_the_pose_is_set_with_its_covariance_and_what_is_no_pose_is_refused(bench, images):
    robot = ready(bench())
    drive(robot, images[:2])
    pose = geometry.from_motion(np.array([5.0, 6, 0, 0, 0, 1]))
    covariance = np.diag([0.25, 0.25, 0, 0, 0, 0.07])  # as RViz sends it
    robot.set_pose(pose, covariance)
    message = drive(robot, images[2:3], 2)[-1]
    np.testing.assert_allclose(pose_of(message), pose, atol=1e-12)
    told = message.pose.covariance.reshape(6, 6)
    np.testing.assert_allclose(told, covariance + 1e-6 * np.eye(6), atol=1e-9)
    robot.set_pose(pose, covariance, frame="map")
    robot.set_pose(np.full((4, 4), np.nan), covariance)
    robot.set_pose(np.eye(4), -np.eye(6))
    robot.set_pose(np.eye(4), 1e306 * np.eye(6))
    step = geometry.inverse(pose) @ pose_of(drive(robot, images[3:4], 3)[-1])
    assert np.linalg.norm(step[:3, 3]) < 2  # it goes on from there


def test_reset_and_pause(bench, images):
    robot = ready(bench())
    drive(robot, images[:3])
    assert robot.pause(True).success
    drive(robot, images[3:6], 3)
    assert len(robot.odometry) == 3 and robot.node.health.paused == 3
    assert robot.pause(False).success
    assert len(drive(robot, images[6:7], 6)) == 4
    assert robot.reset().success
    assert np.array_equal(pose_of(drive(robot, images[7:8], 7)[-1]), np.eye(4))


@pytest.mark.parametrize("begin_anew, then", [
    (Bench.reset, 115), (lambda robot: robot.set_pose(np.eye(4), np.eye(6)), 115), (lambda robot: None, 0)],
    ids=["reset", "set_pose", "stamps fall back"])
def test_the_path_begins_anew_where_the_drive_does(bench, images, begin_anew, then):
    robot = ready(bench())
    drive(robot, images[:12], 100)
    assert len(robot.paths[-1].poses) == 3  # two a second
    begin_anew(robot)
    before = len(robot.odometry)
    drive(robot, images[:2], then)  # the second one confirms stamps that fell back
    pose, = robot.paths[-1].poses
    assert pose.header == robot.odometry[before].header


def test_images_of_another_camera_are_dropped(bench, images):
    robot = ready(bench())
    drive(robot, images[:2])
    other = image_message(2 * PERIOD_NS, images[2])
    other.header.frame_id = "rear_optical"
    robot.take(other)
    assert len(robot.odometry) == 2 and robot.node.health.unusable == 1


def test_another_calibration_keeps_the_height_that_tf_told(bench, images):
    robot = ready(bench(camera_height=0.0))
    robot.mount(geometry.from_motion(np.array([0, 0, -0.35, 0, 0, 0])), "base_footprint", "base_link")
    drive(robot, images[:2])
    height_m = robot.node._odometry.view.camera.mount_height_m
    robot.calibrate(replace(CAMERA, fx=191.0))
    camera = robot.node._odometry.view.camera
    assert (camera.fx, camera.mount_height_m) == (191.0, height_m)


def test_a_calibration_file_of_another_height_is_refused(bench, tmp_path):
    (tmp_path / "camera.yaml").write_text(
        "image_width: 320\nimage_height: 96\ncamera_height: 1.2\n"
        "camera_matrix: {data: [190., 0, 159.5, 0, 190., 45., 0, 0, 1]}\n")
    refused = bench(calibration=str(tmp_path / "camera.yaml"))
    assert "says camera_height 1.2 m, the parameter says 1.65 m" in str(refused.node.fault)
    assert bench(calibration=str(tmp_path / "camera.yaml"), camera_height=1.2).node.fault is None


def test_a_forgotten_optical_rotation_is_told(bench, images, capfd):
    robot = ready(bench(), np.eye(4))
    drive(robot, images[:1])
    assert "camera_optical does not look along the x axis of base_link" in capfd.readouterr().err


def test_max_gap_may_change_while_it_runs(bench, images):
    from rclpy.parameter import Parameter

    robot = ready(bench())
    drive(robot, images[:2])
    assert robot.node.set_parameters([Parameter("max_gap", value=5.0)])[0].successful
    robot.show(40 * PERIOD_NS, images[2])
    assert robot.diagnostics()[1]["gaps"] == "0"


def test_a_camera_that_sees_too_little_is_warned_of(bench, images, capfd):
    robot = bench()
    robot.mount()
    robot.calibrate(Camera(320, 96, 380.0, 380.0, 159.5, 45.0))
    drive(robot, images[:1])
    assert robot.diagnostics()[1]["camera coverage"] == "25%"
    assert "sees only 25%" in capfd.readouterr().err


def test_silence_names_the_topic_its_publishers_and_a_qos_that_does_not_fit(bench, robot):
    node = bench(image_reliability="reliable").node
    image, info = node._inputs[1], node._inputs[0]
    unreliable = robot.node.create_publisher(Image, "image", QoSProfile(
        depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    robot.node.create_publisher(CameraInfo, "front/camera_info", 1)
    assert robot.until(lambda: node.count_publishers("image") == 2 and node.count_publishers(
        "front/camera_info") and node.count_publishers("camera_info"))
    # A publisher may be discovered before the node it belongs to.
    assert robot.until(lambda: why_nothing_comes(node, image).count("the QoS of /robot does not fit") == 1)
    said = why_nothing_comes(node, image)
    assert "/image (sensor_msgs/msg/Image)" in said and "2 publishers" in said and "best_effort" in said
    robot.node.destroy_publisher(unreliable)
    robot.node.destroy_publisher(robot.info)
    assert robot.until(lambda: not node.count_publishers("camera_info"))
    assert "0 publishers; remap it to one of /front/camera_info" in why_nothing_comes(node, info)


def test_silence_of_a_compressed_topic_names_what_image_is_to_be_remapped_to(bench, robot):
    node = bench(image_transport="compressed").node
    for topic in ("front/image_raw/compressed", "depth/compressedDepth"):
        robot.node.create_publisher(CompressedImage, topic, 1)
    assert robot.until(lambda: all(node.count_publishers(topic) for topic in (
        "front/image_raw/compressed", "depth/compressedDepth")))
    said = why_nothing_comes(node, node._inputs[1])
    assert "/image/compressed" in said and said.endswith("; remap image to one of /front/image_raw")


@pytest.mark.parametrize("topic", ["/camera/image_raw", "/camera/image_raw/compressed"])
def test_a_compressed_topic_may_be_named_with_its_end(bench, topic):
    node = bench(remap=f"image:={topic}", image_transport="compressed").node
    assert "/camera/image_raw/compressed" in {s.topic_name for s in node.subscriptions}
