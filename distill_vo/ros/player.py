"""The node behind `replay`: publishes a bag at its pace or in lockstep, and collects odometry.

The bag's messages go out as they were recorded, reliably; /clock is the bag's time. Only where the base was
on /tf is left out while an odometry node tells that itself.
"""

import time
from types import SimpleNamespace

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.exceptions import InvalidTopicNameException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from std_srvs.srv import Trigger

from distill_vo.errors import InputError, first_line
from distill_vo.ros import messages, parameters
from distill_vo.ros.parameters import Spec
from distill_vo.ros.process import Stop
from distill_vo.ros.recording import Recording, without_child
from distill_vo.sources.bag import header_stamp_ns, pick_image_topic
from distill_vo.trajectory import Trajectory, writable_folder

PARAMETERS: parameters.Table = {
    "bag": Spec("", "Folder of a rosbag2 bag, mcap or sqlite3."),
    "image_topic": Spec("", "Image topic whose odometry is awaited; empty: the only one of the bag."),
    "base_frame": Spec("base_link", "Frame of the robot, whose transforms on /tf an odometry node replaces."),
    "rate": Spec(1.0, "Pace, as a multiple of the recorded one; lockstep has its own.",
                 range=(0.01, 100.0)),
    "start": Spec(0.0, "Seconds of the bag to skip.", range=(0.0, 1e6)),
    "loop": Spec(False, "Begin again at the end, until stopped."),
    "lockstep": Spec(False, "Send the next image when the odometry of the last has come."),
    "timeout": Spec(30.0, "Seconds to wait for an odometry node, and for the odometry of one image.",
                    range=(0.1, 3600.0)),
    "out": Spec("", "Folder for trajectory, picture and figures; empty: none are written."),
}
PROGRESS_S = 2.0
TICK_S = 0.05  # between two looks at what other nodes have discovered
GRACE_S = 3.0  # for what may not be there at all: an odometry node nobody asked for, its ~/reset
RESEND_S = 0.5  # in lockstep; the node drops what it has seen already
REFUSED_S = 5.0  # once odometry comes, an image without it for longer is one that the node cannot use


class Player(Node):
    """See the module. Raises InputError for wrong parameters and for what is no bag."""

    def __init__(self, stop: Stop, overrides: list | None = None):
        super().__init__("replay", parameter_overrides=overrides)
        self._stop = stop
        parameters.declare(self, PARAMETERS)
        self.add_on_set_parameters_callback(
            lambda changes: parameters.judge(PARAMETERS, changes, configured=True))
        self.settings = SimpleNamespace(**parameters.values(self, PARAMETERS))
        if not self.settings.bag:
            raise InputError("bag: none was given; say replay BAG, or -p bag:=BAG after --ros-args.")
        self.recording = Recording(self.settings.bag)
        if self.settings.start > self.recording.duration_s:
            raise InputError(f"start {self.settings.start:g}: {self.recording.path} lasts only "
                             f"{self.recording.duration_s:.1f} s; skip less of it.")
        types = self.recording.types
        wanted = self.settings.image_topic
        try:
            self.image_topic = self.resolve_topic_name(wanted) if wanted else None
        except (RuntimeError, InvalidTopicNameException) as error:
            raise InputError(f"image_topic '{wanted}': is no topic ({first_line(error)}).") from error
        if self.settings.lockstep or self.settings.out or self.image_topic:
            self.image_topic = pick_image_topic(self.recording.path, types, self.image_topic)
        if self.settings.out:
            writable_folder(self.settings.out)
        # Subscribed before anything is published: who knows our publishers knows this as well.
        self._poses: dict[int, tuple[list[float], list[float]]] = {}
        odom = self.create_subscription(Odometry, "odom", self._on_odometry, 100)
        self._odom_topic = odom.topic_name
        self._clock_publisher = self.create_publisher(Clock, "/clock", 10)
        left_out = ("/clock", self._odom_topic)
        classes = {t: self.recording.message_class(t) for t in types if t not in left_out}
        self._publishers_of = {t: self.create_publisher(kind, t, self.recording.qos(t))
                               for t, kind in classes.items() if kind}
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        self._has_odometry = False
        self.sent, self.resent, self.seconds = 0, 0, 0.0

    def close(self) -> None:
        self._executor.shutdown()
        self.destroy_node()

    def trajectory(self) -> Trajectory:
        """The odometry of the last play, in the order it came."""
        positions, quaternions = zip(*self._poses.values(), strict=True) if self._poses else ((), ())
        return Trajectory(np.array(list(self._poses), np.int64),
                          np.array(positions, float).reshape(-1, 3),
                          np.array(quaternions, float).reshape(-1, 4))

    def _on_odometry(self, message: Odometry) -> None:
        stamp = messages.ns_from_time(message.header.stamp)
        self._poses[stamp] = messages.position_and_quaternion(message.pose.pose)

    # -- waiting -----------------------------------------------------------------------------------
    def _spin_until(self, done, seconds: float) -> bool:
        """Serve callbacks until done() or the time is up or the process is asked to stop; done() then."""
        deadline = time.monotonic() + seconds
        while not done() and not self._stop.requested:
            left = deadline - time.monotonic()
            self._executor.spin_once(max(0.0, min(left, TICK_S)))
            if left <= 0:
                break
        return done()

    def find_odometry(self) -> None:
        """Wait for an odometry node and reset it, so that this run is like any other.

        Its answer proves that both sides know each other's topics: from then on nothing is lost.
        Raises InputError in lockstep if there is none.
        """
        def ready() -> bool:
            image = self._publishers_of.get(self.image_topic)
            return bool(self._odometry_node() and (not image or image.get_subscription_count()))

        awaited = self.settings.lockstep or self.settings.out
        self._has_odometry = self._spin_until(ready, self.settings.timeout if awaited else GRACE_S)
        if self._has_odometry:
            client = self.create_client(Trigger, f"{self._odometry_node()}/reset")
            if self._spin_until(client.service_is_ready, GRACE_S):
                self._spin_until(client.call_async(Trigger.Request()).done, GRACE_S)
            self.destroy_client(client)
        elif self.settings.lockstep and not self._stop.requested:
            raise InputError(
                f"{self._odom_topic}: no odometry node subscribed {self.image_topic} within "
                f"{self.settings.timeout:g} s; start vo_node with its image remapped to that topic.")

    def _odometry_node(self) -> str | None:
        """Full name of the node that publishes `odom`, once discovery has brought it."""
        names = [f"{info.node_namespace.rstrip('/')}/{info.node_name}"
                 for info in self.get_publishers_info_by_topic(self._odom_topic)]
        return next((name for name in names if "_UNKNOWN_" not in name), None)

    # -- playing -----------------------------------------------------------------------------------
    def play(self) -> None:
        """Publish the bag once, from `start`. Raises InputError where the bag breaks off."""
        self._poses.clear()
        self.sent, self.resent, began = 0, 0, time.monotonic()
        try:
            self._publish_all(began)
        finally:
            self.seconds = time.monotonic() - began

    def _publish_all(self, began: float) -> None:
        settings, last_image = self.settings, None
        first_ns = self.recording.start_ns + int(settings.start * 1e9)
        for topic, time_ns, data in self.recording.messages(first_ns):
            if topic not in self._publishers_of:
                continue
            if settings.lockstep and topic == self.image_topic:
                self._await_odometry(last_image)
                last_image = data
            elif not settings.lockstep:
                due = began + (time_ns - first_ns) * 1e-9 / settings.rate
                self._spin_until(lambda: False, due - time.monotonic())
            if self._stop.requested:
                return
            self.sent += topic == self.image_topic
            self._clock_publisher.publish(Clock(clock=messages.time_from_ns(time_ns)))
            if topic == "/tf" and self._has_odometry:
                data = without_child(data, settings.base_frame)
            self._publishers_of[topic].publish(data)
            self.get_logger().info(f"{self.sent} images sent, odometry of {len(self._poses)}",
                                   throttle_duration_sec=PROGRESS_S)
        self._await_odometry(last_image if self.settings.lockstep else None)
        if not self.settings.lockstep and self.image_topic:
            self._spin_until(lambda: len(self._poses) >= self.sent, 1.0)

    def _await_odometry(self, image: bytes | None) -> None:
        """Wait for the odometry of this image (CDR); None: there is nothing to wait for."""
        if image is None:
            return
        stamp = header_stamp_ns(image)
        timeout = self.settings.timeout
        deadline = time.monotonic() + (min(timeout, REFUSED_S) if self._poses else timeout)
        while not self._spin_until(lambda: stamp in self._poses, RESEND_S):
            if time.monotonic() >= deadline or self._stop.requested:
                self.get_logger().warning(f"no odometry for the image of {stamp * 1e-9:.3f} s")
                return
            # It was lost on its way, or came before calibration and TF.
            self._publishers_of[self.image_topic].publish(image)
            self.resent += 1
