"""The lifecycle node: images, calibration and TF in; odometry, path and TF out.

A thin shell: what is odometry lives in distill_vo.odometry. Subscribes `image` (or its compressed
transport) and `camera_info`; publishes `odom`, `path` and odom -> base on /tf, with the images' stamps.
configure loads the student, activate subscribes, deactivate releases, cleanup frees the device.
"""

import time
import traceback
from collections import deque
from functools import wraps

import numpy as np
from nav_msgs.msg import Odometry, Path
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage

from distill_vo.camera import Camera
from distill_vo.errors import InputError
from distill_vo.odometry import Estimate, Status, VisualOdometry
from distill_vo.ros import messages, parameters
from distill_vo.ros.health import Health
from distill_vo.ros.transforms import DYNAMIC_QOS, TransformListener, static_publisher_line
from distill_vo.ros.vo_parameters import PARAMETERS
from distill_vo.sources.decode import decode
from distill_vo.student import Student

PATH_PERIOD_NS = 500_000_000  # image time between two poses of the path
PATH_POSES = 2000
PATIENCE_S = 5.0  # before the log says what is being waited for
QUIET_S = 5.0  # between two log lines that say the same
ENOUGH_COVERAGE = 0.8  # of the view the student was trained on


def transition(work):
    """A lifecycle callback that says in the log why it failed (rclpy swallows exceptions)."""

    @wraps(work)
    def callback(self, state):
        try:
            work(self)
            self.fault = None
            return getattr(LifecycleNode, work.__name__)(self, state)
        except InputError as error:
            self.fault = error
            if not self._starting:  # then whoever started it says so
                self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().fatal(traceback.format_exc())
            return TransitionCallbackReturn.ERROR

    return callback


class VisualOdometryNode(LifecycleNode):
    """See the module. Raises InputError for a wrong parameter."""

    def __init__(self, **kwargs):
        super().__init__("vo_node", **kwargs)
        self.fault: InputError | None = None
        self._starting = False
        self.health = Health()
        self._student: Student | None = None
        self._release()
        parameters.declare(self, PARAMETERS)
        self.add_on_set_parameters_callback(
            lambda changes: parameters.judge(PARAMETERS, changes, self._student is not None))

    def start(self) -> None:
        """Configure and activate, unless `autostart` is off. Raises what stood against it."""
        if not self.get_parameter("autostart").value:
            return
        self._starting = True
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                raise self.fault or RuntimeError(f"{trigger.__name__} failed; see the log.")
        self._starting = False

    # -- lifecycle ---------------------------------------------------------------------------------
    @transition
    def on_configure(self) -> None:
        self._values = parameters.values(self, PARAMETERS)
        student = Student.load(self._values["model"], self._values["device"])
        student(np.zeros(student.front_end.shape, np.float32))  # the first call is the slow one
        overridable = QoSOverridingOptions.with_default_policies()
        self._odom_publisher = self.create_lifecycle_publisher(
            Odometry, "odom", 10, qos_overriding_options=overridable)
        self._path_publisher = self.create_lifecycle_publisher(Path, "path", 1)
        self._tf_publisher = self.create_lifecycle_publisher(TFMessage, "/tf", DYNAMIC_QOS)
        self._reset_service = self.create_service(Trigger, "~/reset", self._on_reset)
        self._student = student
        self.get_logger().info(f"student {student.name} ({student.digest[:12]}) on {student.device}")

    @transition
    def on_activate(self) -> None:
        self.health = Health()
        if self._odometry is None:
            self._transforms = TransformListener(self)
        qos = QoSProfile(depth=self._values["image_depth"],
                         reliability=ReliabilityPolicy[self._values["image_reliability"].upper()])
        image_type, image_topic = Image, "image"
        if self._values["image_transport"] == "compressed":
            image_type, image_topic = CompressedImage, f"{self.resolve_topic_name('image')}/compressed"
        overridable = QoSOverridingOptions.with_default_policies()
        # The calibration first: where both wait, rclpy takes them in the order of creation.
        self._inputs = [
            self.create_subscription(kind, topic, callback, qos, qos_overriding_options=overridable)
            for kind, topic, callback in ((CameraInfo, "camera_info", self._on_camera_info),
                                          (image_type, image_topic, self._on_image))]
        self._watch = self.create_timer(PATIENCE_S, self._say_what_is_missing,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))

    @transition
    def on_deactivate(self) -> None:
        self._close_inputs()

    @transition
    def on_cleanup(self) -> None:
        self._close_inputs()
        if self._student is not None:
            for publisher in (self._odom_publisher, self._path_publisher, self._tf_publisher):
                self.destroy_lifecycle_publisher(publisher)
            self.destroy_service(self._reset_service)
        self._release()

    on_shutdown = on_error = on_cleanup

    def _release(self) -> None:
        """Back to what is known before the node is configured."""
        self._student = None
        self._odometry: VisualOdometry | None = None
        self._camera: Camera | None = None
        self._last: Estimate | None = None
        self._transforms: TransformListener | None = None
        self._inputs: list = []
        self._path: deque = deque(maxlen=PATH_POSES)
        self._image_frame: str | None = None

    def _close_inputs(self) -> None:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        if self._inputs:
            self._transforms.close()
            self.destroy_timer(self._watch)
        self._inputs = []

    # -- what comes in -----------------------------------------------------------------------------
    def _on_camera_info(self, message: CameraInfo) -> None:
        try:
            camera = Camera.from_camera_info(message, self._values["camera_height"])
        except InputError as error:
            self.get_logger().error(str(error), throttle_duration_sec=QUIET_S)
            return
        if camera != self._camera:
            self._camera, self._odometry = camera, None

    def _on_image(self, message: Image | CompressedImage) -> None:
        started = time.perf_counter()
        self._image_frame = self._values["camera_frame"] or message.header.frame_id
        try:
            odometry = self._odometry or self._begin()
            if odometry is None:
                self.health.early += 1
                return
            estimate = odometry.track(messages.ns_from_time(message.header.stamp), decode(message))
        except InputError as error:
            self.health.unusable += 1
            self.get_logger().warning(f"image dropped: {error}", throttle_duration_sec=QUIET_S)
            return
        if estimate is not None:
            self._publish(estimate)
            self.health.tracked(started, estimate.status is Status.LOST)

    def _begin(self) -> VisualOdometry | None:
        """The odometry, once calibration and mounting are known; a new calibration goes on where it is."""
        base_T_camera = self._transforms.lookup(self._values["base_frame"], self._image_frame)
        if self._camera is None or base_T_camera is None:
            return None
        odometry = VisualOdometry(self._student, self._camera, base_T_camera)
        if self._last is not None:
            odometry.reset(self._last.pose, self._last.pose_covariance)
        self._odometry = odometry
        self._transforms.close()
        self.get_logger().info(f"calibration and mounting known after {self.health.early} images")
        if odometry.view.coverage < ENOUGH_COVERAGE:
            self.get_logger().warning(f"the camera sees only {odometry.view.coverage:.0%} of the view the "
                                      "student was trained on: expect less accuracy")
        return odometry

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._last = None
        self._path.clear()
        if self._odometry is not None:
            self._odometry.reset()
        response.success, response.message = True, "The next image is the origin."
        return response

    # -- what goes out -----------------------------------------------------------------------------
    def _publish(self, estimate: Estimate) -> None:
        odom, base = self._values["odom_frame"], self._values["base_frame"]
        if self.get_parameter("publish_tf").value:
            transform = messages.transform_stamped(estimate.stamp_ns, odom, base, estimate.pose)
            self._tf_publisher.publish(TFMessage(transforms=[transform]))
        self._odom_publisher.publish(messages.odometry(estimate, odom, base))
        if self._last is not None and estimate.stamp_ns < self._last.stamp_ns:
            self.get_logger().warning("stamps went back: started anew at the origin")
            self._path.clear()
        self._warn_of_change(self._last.status if self._last else Status.TRACKING, estimate.status)
        self._last = estimate
        self._extend_path(messages.pose_stamped(estimate.stamp_ns, odom, estimate.pose))

    def _warn_of_change(self, before: Status, now: Status) -> None:
        if now is not before:
            self.get_logger().warning("tracking again" if now is Status.TRACKING else
                                      "lost: how it moved is not known, the pose is carried on")

    def _extend_path(self, pose) -> None:
        newest = self._path[-1] if self._path else None
        elapsed_ns = self._last.stamp_ns - messages.ns_from_time(newest.header.stamp) if newest else None
        if elapsed_ns is not None and elapsed_ns < PATH_PERIOD_NS:
            return
        self._path.append(pose)
        if self._path_publisher.get_subscription_count():
            self._path_publisher.publish(Path(header=pose.header, poses=list(self._path)))

    def _say_what_is_missing(self) -> None:
        """Every few seconds until odometry flows, on the wall's clock: what is waited for, and the remedy."""
        if self._odometry is not None:
            return
        info, image = self._inputs
        for subscription in (image, info):
            if self._image_frame is None or (subscription is info and self._camera is None):
                topic = subscription.topic_name
                self.get_logger().warning(
                    f"nothing on {topic} yet; it has {self.count_publishers(topic)} publishers "
                    "(see ros2 topic info -v for their QoS, and remap the topic where it is another)")
        if self._image_frame == "":
            self.get_logger().warning("images have no frame_id; set camera_frame to the optical frame")
        elif self._image_frame is not None:
            self._say_if_mounting_is_missing(self._values["base_frame"], self._image_frame)

    def _say_if_mounting_is_missing(self, base: str, camera: str) -> None:
        if self._transforms.lookup(base, camera) is None:
            self.get_logger().warning(
                f"no transform {base} -> {camera} on /tf_static or /tf; {self.health.early} images "
                f"dropped so far. For a camera that looks ahead: {static_publisher_line(base, camera)}")
