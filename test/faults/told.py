"""Faults of when images come, of what messages hold, and of those who use the node."""

import cv2
import numpy as np
from bench import camera_info
from drive import FIRST, fault
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage
from tf2_msgs.msg import TFMessage

from distill_vo.camera import CANONICAL, Camera
from distill_vo.ros import messages


# -- when images come ------------------------------------------------------------------------------------
@fault("", frames=1)
def one_image_missing(drive, k):
    """one image is lost on the way"""


@fault("", frames=5)
def short_gap(drive, k):
    """no image for half a second"""


@fault("", frames=20)
def long_gap(drive, k):
    """no image for two seconds, longer than max_gap"""


@fault("tracking", frames=12)
def half_rate(drive, k):
    """every second image is lost"""
    if k % 2:
        drive.show(k)


@fault("tracking")
def same_stamp_twice(drive, k):
    """each image comes twice with the same stamp"""
    drive.show(k)
    drive.show(k)


@fault("tracking")
def out_of_order(drive, k):
    """each image is followed by the last but one"""
    drive.show(k)
    drive.show(k - 2)


@fault("tracking")
def jitter(drive, k):
    """stamps are off by up to 20 ms"""
    drive.show(k, stamp_ns=drive.stamp_ns(k + drive.rng.uniform(-0.2, 0.2)))


@fault("", frames=1)
def stamp_from_the_future(drive, k):
    """one image is stamped an hour ahead"""
    drive.show(k, stamp_ns=drive.stamp_ns(k) + 3600 * 10**9)


@fault("", frames=1)
def stamp_zero(drive, k):
    """one image without a stamp"""
    drive.show(k, stamp_ns=0)


@fault("tracking", frames=1, anew=True)
def bag_loops(drive, k):
    """the recording starts again"""
    for earlier in range(k + 1):
        drive.show(earlier)


# -- what messages hold ----------------------------------------------------------------------------------
@fault("")
def truncated_data(drive, k):
    """messages hold half of their bytes"""
    drive.take(drive.message(k, data=drive.images[k].tobytes()[:1000]))


@fault("")
def wrong_size(drive, k):
    """images of another size than calibrated"""
    drive.show(k, drive.images[k][:100])


@fault("")
def unknown_encoding(drive, k):
    """images in an encoding that is none"""
    drive.take(drive.message(k, encoding="32FC1"))


@fault("")
def size_of_a_bomb(drive, k):
    """height and step say 4 GB"""
    drive.take(drive.message(k, height=2**16, step=2**16))


@fault("")
def damaged_jpeg(drive, k):
    """compressed images that break off"""
    data = cv2.imencode(".jpg", drive.images[k])[1].tobytes()
    message = CompressedImage(header=drive.message(k).header, format="jpeg", data=data[:500])
    drive.take(message)


@fault("tracking")
def no_frame_id(drive, k):
    """headers lose their frame_id"""
    message = drive.message(k)
    message.header.frame_id = ""
    drive.take(message)


# -- calibration and mounting ----------------------------------------------------------------------------
@fault("tracking")
def calibration_of_zeros(drive, k):
    """CameraInfo of an uncalibrated camera"""
    info = camera_info(CANONICAL)
    info.k = np.zeros(9)
    drive.bench.node._on_camera_info(info)
    drive.show(k)


@fault("tracking")
def calibration_of_nan(drive, k):
    """CameraInfo with NaN"""
    info = camera_info(CANONICAL)
    info.k = np.full(9, np.nan)
    drive.bench.node._on_camera_info(info)
    drive.show(k)


@fault("tracking degraded", frames=8)
def camera_binned(drive, k):
    """the driver switches to half the resolution with the CameraInfo to it, and back"""
    if k == FIRST:
        drive.bench.calibrate(CANONICAL.binned(2, 2))
    small = cv2.resize(drive.images[k], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    drive.show(k, small)
    if k == FIRST + 7:
        drive.bench.calibrate(CANONICAL)


@fault("", first=0, prepared=False)
def calibration_late(drive, k):
    """CameraInfo comes after 8 images"""
    drive.bench.mount()
    drive.show(k)
    if k == 7:
        drive.bench.calibrate(CANONICAL)


@fault("", first=0, prepared=False)
def mounting_late(drive, k):
    """TF comes after 8 images"""
    drive.bench.calibrate(CANONICAL)
    drive.show(k)
    if k == 7:
        drive.bench.mount()


@fault("", first=0, prepared=False)
def mounting_is_no_transform(drive, k):
    """TF with a quaternion of zeros, of NaN, and a ring of frames, before the right one"""
    drive.bench.calibrate(CANONICAL)
    for wrong in (0.0, np.nan):
        transform = messages.transform_stamped(0, "base_link", "camera_optical", np.eye(4))
        transform.transform.rotation.w = wrong
        drive.bench.node._transforms.hear(TFMessage(transforms=[transform]))
    drive.bench.mount(np.eye(4), "camera_optical", "camera_optical")
    drive.show(k)
    if k == 7:
        drive.bench.mount()


@fault("", first=0, prepared=False)
def camera_that_sees_next_to_nothing(drive, k):
    """a calibration with a field of view of a few degrees, before the right one"""
    drive.bench.mount()
    drive.bench.calibrate(Camera(640, 192, 5000.0, 5000.0, 319.5, 91.0))
    drive.show(k)
    if k == 7:
        drive.bench.calibrate(CANONICAL)


# -- what users do ---------------------------------------------------------------------------------------
@fault("tracking", frames=1, anew=True)
def reset_while_driving(drive, k):
    """~/reset is called"""
    drive.bench.reset()
    drive.show(k)


@fault("", frames=8)
def paused(drive, k):
    """~/pause for less than a second"""
    drive.bench.pause(k < FIRST + 7)
    if k < FIRST + 7:
        drive.show(k)


@fault("tracking")
def set_pose_of_nan(drive, k):
    """set_pose with NaN, with another frame, with a covariance that is none"""
    drive.bench.set_pose(np.full((4, 4), np.nan), np.eye(6))
    drive.bench.set_pose(np.eye(4), np.eye(6), "map")
    drive.bench.set_pose(np.eye(4), -np.eye(6))
    drive.show(k)


@fault("", frames=3)
def deactivated(drive, k):
    """deactivated for three frames and activated again"""
    if k == FIRST:
        drive.bench.node.trigger_deactivate()
    if k == FIRST + 2:
        drive.bench.node.trigger_activate()


@fault("tracking")
def parameters_changed_wrongly(drive, k):
    """values that are refused while it runs"""
    for name, value in (("camera_height", 0.5), ("max_gap", -1.0), ("publish_tf", "no"), ("model", "none")):
        assert not drive.bench.node.set_parameters([Parameter(name, value=value)])[0].successful
    drive.show(k)
