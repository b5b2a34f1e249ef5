"""The lifecycle node: images, calibration and TF in; odometry, path and TF out.

A thin shell: what is odometry lives in distill_vo.odometry. Subscribes `image` (or its compressed
transport), `camera_info` and `set_pose`; publishes `odom`, `path` and odom -> base on /tf, with the images'
stamps, and /diagnostics. configure loads the student, activate subscribes, deactivate releases, cleanup frees
the device.
"""

from dataclasses import replace

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from distill_vo.camera import DEFAULT_HEIGHT_M, Camera
from distill_vo.errors import InputError
from distill_vo.odometry import Estimate, Status, VisualOdometry
from distill_vo.ros import messages, parameters
from distill_vo.ros.health import SILENCE_S, Health
from distill_vo.ros.images import image_decoder
from distill_vo.ros.lifecycle import transition
from distill_vo.ros.outputs import Outputs
from distill_vo.ros.transforms import TransformListener, ground_line, mounting_line
from distill_vo.ros.vo_parameters import PARAMETERS, checked
from distill_vo.ros.waiting import compressed, why_nothing_comes
from distill_vo.student import Student

QUIET_S = 5.0  # between two log lines that say the same
ENOUGH_COVERAGE = 0.8  # of the view the student was trained on


class VisualOdometryNode(LifecycleNode):
    """See the module. Raises InputError for a wrong parameter."""

    def __init__(self, **kwargs):
        super().__init__("vo_node", **kwargs)
        self.fault: InputError | OSError | None = None
        self._starting = False
        self.health = Health()
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
        self._values = checked(parameters.values(self, PARAMETERS))
        student = Student.load(self._values["model"], self._values["device"])
        student(np.zeros(student.front_end.shape, np.float32))  # the first call is the slow one
        if self._values["calibration"]:
            self._camera = self._calibration_file()
        self._decode = image_decoder()
        self._outputs = Outputs(self, self._values["odom_frame"], self._values["base_frame"])
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self._offered = [self.create_service(Trigger, "~/reset", self._on_reset),
                          self.create_service(SetBool, "~/pause", self._on_pause)]
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
            image_type, image_topic = CompressedImage, compressed(self.resolve_topic_name("image"))
        # The calibration first: where both wait, rclpy takes them in the order of creation.
        topics = [] if self._values["calibration"] else [(CameraInfo, "camera_info", self._on_camera_info)]
        topics.append((image_type, image_topic, self._on_image))
        self._inputs = [self.create_subscription(kind, topic, callback, qos)
                        for kind, topic, callback in topics]
        self._inputs.append(self.create_subscription(PoseWithCovarianceStamped, "set_pose",
                                                     self._on_set_pose, 1))
        wall = Clock(clock_type=ClockType.STEADY_TIME)
        self._watches = [self.create_timer(SILENCE_S, self._say_what_is_missing, clock=wall),
                        self.create_timer(1.0, self._diagnose, clock=wall)]

    @transition
    def on_deactivate(self) -> None:
        self._close_inputs()

    @transition
    def on_cleanup(self) -> None:
        self._close_inputs()
        if self._student is not None:
            self._outputs.close()
            self.destroy_publisher(self._diagnostics)
            for service in self._offered:
                self.destroy_service(service)
        self._release()

    on_shutdown = on_error = on_cleanup

    def _release(self) -> None:
        """Back to what is known before the node is configured."""
        self._student: Student | None = None
        self._odometry: VisualOdometry | None = None
        self._camera: Camera | None = None
        self._last: Estimate | None = None
        self._start: tuple[np.ndarray, np.ndarray | None] | None = None  # pose to begin at, its covariance
        self._transforms: TransformListener | None = None
        self._inputs: list = []
        self._camera_info_heard = False
        self._image_frame: str | None = None
        self._paused = False

    def _close_inputs(self) -> None:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        if self._inputs:
            self._transforms.close()
            for timer in self._watches:
                self.destroy_timer(timer)
        self._inputs = []

    def _calibration_file(self) -> Camera:
        """The camera in the file `calibration`. Raises InputError."""
        file, height_m = self._values["calibration"], self._values["camera_height"]
        camera = Camera.from_yaml(file)
        if height_m and camera.mount_height_m not in (DEFAULT_HEIGHT_M, height_m):
            raise InputError(f"{file}: says camera_height {camera.mount_height_m} m, the parameter says "
                             f"{height_m} m; set both to what is true.")
        return camera

    # -- what comes in -----------------------------------------------------------------------------
    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info_heard = True
        try:
            camera = Camera.from_camera_info(message, mount_height_m=1.0)
        except InputError as error:
            self.get_logger().error(str(error), throttle_duration_sec=QUIET_S)
            return
        if camera != self._camera:
            self._camera = camera
            self._try_to_recalibrate()

    def _on_image(self, message: Image | CompressedImage, info: dict) -> None:
        *_, subscription, _ = self._inputs
        received = self.health.heard(info, subscription.get_publisher_count())
        if self._paused:
            self.health.paused += 1
            return
        frame = self._values["camera_frame"] or message.header.frame_id
        try:
            if self._odometry is None:
                self._image_frame = frame
            elif frame not in ("", self._image_frame):
                raise InputError(f"is of {frame}, those before were of {self._image_frame}; remap image to "
                                 "one camera.")
            odometry = self._odometry or self._begin()
            if odometry is None:
                self.health.early += 1
                return
            odometry.max_gap_s = float(self.get_parameter("max_gap").value)
            estimate = odometry.track(messages.ns_from_time(message.header.stamp), self._decode(message))
        except InputError as error:
            self.health.unusable += 1
            self.get_logger().warning(f"image dropped: {error}", throttle_duration_sec=QUIET_S)
            return
        if estimate is not None:
            self._outputs.publish(estimate)
            self._warn_of_change(estimate)
            self._last = estimate
        self.health.tracked(received, estimate)

    def _begin(self) -> VisualOdometry | None:
        """The odometry, once calibration and mounting are known."""
        base_T_camera = self._transforms.lookup(self._values["base_frame"], self._image_frame)
        height_m = self._height_m()
        if self._camera is None or base_T_camera is None or height_m is None:
            return None
        camera = replace(self._camera, mount_height_m=height_m)
        odometry = VisualOdometry(self._student, camera, base_T_camera, planar=self._values["planar"])
        if self._start is not None:
            odometry.reset(*self._start)
        self._odometry = odometry
        self._transforms.close()
        coverage = odometry.view.coverage
        self.get_logger().info(f"calibration and mounting known after {self.health.early} images: the "
                               f"camera, {height_m:.2f} m high, covers {coverage:.0%} of the student's view")
        if coverage < ENOUGH_COVERAGE:
            self.get_logger().warning(f"the camera sees only {coverage:.0%} of the view the student was "
                                      "trained on: expect less accuracy")
        base = self._values["base_frame"]
        if not odometry.looks_ahead and base != self._image_frame:
            self.get_logger().warning(f"by TF {self._image_frame} does not look along the x axis of {base}; "
                                      "was the rotation to optical axes forgotten? For a camera that looks "
                                      f"ahead: {mounting_line(base, self._image_frame)}")
        return odometry

    def _try_to_recalibrate(self) -> None:
        """Another calibration while it runs: goes on with it, or as before where it cannot be used."""
        try:
            if self._odometry is not None:
                height_m = self._odometry.view.camera.mount_height_m
                self._odometry.calibrate(replace(self._camera, mount_height_m=height_m))
                self.get_logger().info("another calibration, which covers "
                                       f"{self._odometry.view.coverage:.0%} of the student's view")
        except InputError as error:
            self.get_logger().error(str(error))

    def _height_m(self) -> float | None:
        """The camera's above the ground, None while it is not known. Raises InputError."""
        if self._values["camera_height"] > 0:
            return self._values["camera_height"]
        ground_T_camera = self._transforms.lookup(self._values["ground_frame"], self._image_frame)
        if ground_T_camera is not None and not ground_T_camera[2, 3] >= 0.05:
            raise InputError(f"camera_height is 0, but TF puts the camera {ground_T_camera[2, 3]:.2f} m "
                             f"above {self._values['ground_frame']}; correct TF or set camera_height.")
        return None if ground_T_camera is None else float(ground_T_camera[2, 3])

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._start_at(None)
        response.success, response.message = True, "The next image is the origin."
        return response

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._paused = request.data
        response.success = True
        response.message = "Images are passed over." if request.data else "Goes on as after a gap."
        return response

    def _on_set_pose(self, message: PoseWithCovarianceStamped) -> None:
        try:
            self._start_at(messages.pose_with_covariance(message, self._values["odom_frame"]))
        except InputError as error:
            self.get_logger().error(str(error))

    def _start_at(self, start: tuple[np.ndarray, np.ndarray | None] | None) -> None:
        """The next image is at this pose with this covariance; None: at the origin."""
        self._last, self._start = None, start
        self._outputs.forget_path()
        if self._odometry is not None:
            self._odometry.reset(*(start or ()))

    # -- what is said ------------------------------------------------------------------------------
    def _warn_of_change(self, estimate: Estimate) -> None:
        before = self._last.status if self._last else Status.TRACKING
        if self._last is not None and estimate.stamp_ns < self._last.stamp_ns:
            self.get_logger().warning("stamps went back: started anew at the origin")
        if estimate.after_gap and estimate.status is not Status.LOST:
            self.get_logger().warning("no image for long: how it moved meanwhile is not known")
        if estimate.status is not before:
            self.get_logger().warning({
                Status.TRACKING: "tracking again", Status.DEGRADED: "degraded: little can be seen",
                Status.LOST: "lost: how it moved is not known, the pose is carried on"}[estimate.status])

    def _diagnose(self) -> None:
        about = {"device": self._student.device, "model": self._student.name,
                 "model hash": self._student.digest[:12]}
        if self._odometry is not None:
            about["camera coverage"] = f"{self._odometry.view.coverage:.0%}"
        self._diagnostics.publish(self.health.diagnostics(
            self.get_fully_qualified_name(), self.get_clock().now().to_msg(), about))

    def _say_what_is_missing(self) -> None:
        """Every few seconds on the wall's clock, while odometry does not flow: what for, and the remedy."""
        silent = self.health.silent_s >= SILENCE_S
        for subscription in self._inputs[:-1]:
            is_image = subscription.msg_type is not CameraInfo
            if (silent and not self._paused) if is_image else not self._camera_info_heard:
                self.get_logger().warning(why_nothing_comes(self, subscription))
        if self._odometry is not None or self._image_frame is None:
            return
        if self._image_frame == "":
            self.get_logger().warning("images have no frame_id; set camera_frame to the optical frame")
            return
        base, ground = self._values["base_frame"], self._values["ground_frame"]
        if self._transforms.lookup(base, self._image_frame) is None:
            self._say_transform_is_missing(base, "For a camera that looks ahead, with your numbers: "
                                           f"{mounting_line(base, self._image_frame)}")
        elif (self._values["camera_height"] == 0
              and self._transforms.lookup(ground, self._image_frame) is None):
            self._say_transform_is_missing(ground, f"For {base} above the ground, with your z: "
                                           f"{ground_line(ground, base)}")

    def _say_transform_is_missing(self, frame: str, remedy: str) -> None:
        self.get_logger().warning(f"no transform {frame} -> {self._image_frame} on /tf_static or /tf; "
                                  f"{self.health.early} images dropped so far. {remedy}")
