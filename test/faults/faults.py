"""Named faults, injected into a drive of a rendered street: what the node publishes, how it recovers.

  python test/faults/faults.py docs/results/faults.md

A fault is a function called instead of showing frame k, for each of its frames. The node is on a bench
(test/bench.py): its callbacks are called in this process.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage
from tf2_msgs.msg import TFMessage

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]  # when run as a script
from bench import FORWARD, Bench, camera_info, image_message  # noqa: E402

from distill_vo import geometry  # noqa: E402
from distill_vo.camera import CANONICAL, Camera  # noqa: E402
from distill_vo.ros import messages  # noqa: E402
from training.data.rehearsal import RehearsalSettings, render_sequence  # noqa: E402

FRAMES, PERIOD_NS, BEGIN_NS = 46, 100_000_000, 1_700_000_000_000_000_000
FIRST = 14  # frame at which a fault begins
RECOVERY = 4  # frames after a fault within which it must be tracking again
STREET = RehearsalSettings(seed=30_002, frames=FRAMES, camera_height_sigma=0.0)


@lru_cache(maxsize=1)
def street() -> tuple[list[np.ndarray], np.ndarray]:
    """Grey images (192, 640) and poses of the base (N, 4, 4)."""
    sequence = render_sequence(STREET, 0)
    images = [cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY) for frame in sequence]
    return images, FORWARD @ sequence.poses @ geometry.inverse(FORWARD)


@dataclass(frozen=True)
class Fault:
    """A fault of `frames` frames. `expect`: statuses that may be published during it; none: nothing may."""

    name: str
    text: str
    frames: int
    expect: frozenset[str]
    inject: Callable[["Drive", int], None]
    first: int
    prepared: bool  # whether calibration and mounting are given beforehand
    anew: bool  # whether the pose may begin anew
    parameters: dict


FAULTS: dict[str, Fault] = {}


def fault(expect: str, frames: int = 8, first: int = FIRST, prepared: bool = True, anew: bool = False,
          **parameters):
    def register(inject):
        name = inject.__name__.replace("_", " ")
        FAULTS[name] = Fault(name, inject.__doc__, frames, frozenset(expect.split()), inject, first, prepared,
                             anew, parameters)
        return inject
    return register


class Drive:
    """One drive through the node with a fault in it."""

    def __init__(self, injected: Fault):
        self.fault, (self.images, self.truth) = injected, street()
        self.rng = np.random.default_rng(1)
        self.bench = Bench(device="cpu", **injected.parameters)
        if injected.prepared:
            self.bench.mount()
            self.bench.calibrate(CANONICAL)
        self._noted: dict[int, str] = {}
        self.during: list = []  # what is published in the fault's frames
        self.after: list = []

    def run(self) -> "Drive":
        end = self.fault.first + self.fault.frames
        for k in range(FRAMES):
            known = len(self.bench.odometry)
            if self.fault.first <= k < end:
                self.fault.inject(self, k)
                self.during += self.bench.odometry[known:]
            else:
                self.show(k)
                self.after += self.bench.odometry[known:] if k >= end else []
        self.health = self.bench.node.health
        self.bench.close()
        return self

    def stamp_ns(self, k: float) -> int:
        return BEGIN_NS + round(k * PERIOD_NS)

    def show(self, k: int, image: np.ndarray | None = None, stamp_ns: int | None = None) -> None:
        stamp_ns = self.stamp_ns(k) if stamp_ns is None else stamp_ns
        image = self.images[k] if image is None else np.clip(image, 0, 255).astype(np.uint8)
        self.bench.show(stamp_ns, image)
        self.note()

    def note(self) -> None:
        """Keep the status beside each message: odometry itself has no field for it."""
        status = self.bench.node.health.status
        for message in self.bench.odometry:
            self._noted.setdefault(id(message), status.value)

    def status(self, message) -> str:
        return self._noted[id(message)]

    def message(self, k: int, **fields):
        """The message of frame k with other fields."""
        message = image_message(self.stamp_ns(k), self.images[k])
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    def take(self, message) -> None:
        self.bench.take(message)
        self.note()

    @property
    def said(self) -> list[str]:
        """Statuses published during the fault, in order, each once."""
        return list(dict.fromkeys(map(self.status, self.during)))

    @property
    def recovered_after(self) -> int | None:
        """Frames after the fault until it tracks again."""
        return next((i for i, m in enumerate(self.after, 1) if self.status(m) == "tracking"), None)

    def pose_error(self) -> tuple[float, float]:
        """Of the last pose: metres, and NEES (squared error over covariance)."""
        first, last = self.bench.odometry[0], self.bench.odometry[-1]
        truth = pose_of(first) @ geometry.inverse(self.truth[frame_of(first)]) @ self.truth[frame_of(last)]
        pose = pose_of(last)
        error = np.r_[pose[:3, 3] - truth[:3, 3],
                      geometry.rotation_log(pose[:3, :3] @ truth[:3, :3].T)]
        covariance = last.pose.covariance.reshape(6, 6)
        return float(np.linalg.norm(error[:3])), float(error @ np.linalg.solve(covariance, error))

    def step_error_m(self) -> float:
        """Of the motion over the last ten frames: what a fault leaves behind for good would show there."""
        a, b = self.bench.odometry[-10], self.bench.odometry[-1]
        moved = geometry.inverse(pose_of(a)) @ pose_of(b)
        truly = geometry.inverse(self.truth[frame_of(a)]) @ self.truth[frame_of(b)]
        return float(np.linalg.norm(moved[:3, 3] - truly[:3, 3]))


def pose_of(message) -> np.ndarray:
    return geometry.from_position_quaternion(*messages.position_and_quaternion(message.pose.pose))


def frame_of(message) -> int:
    return round((messages.ns_from_time(message.header.stamp) - BEGIN_NS) / PERIOD_NS)


# -- what the camera sees --------------------------------------------------------------------------------
@fault("degraded")
def dark(drive, k):
    """a tunnel without light: black with sensor noise"""
    drive.show(k, drive.rng.normal(3, 2, drive.images[k].shape))


@fault("degraded lost", frames=16)
def dark_for_long(drive, k):
    """the same for longer than max_gap"""
    dark(drive, k)


@fault("degraded", frames=1)
def one_dark_image(drive, k):
    """a single black image"""
    dark(drive, k)


@fault("degraded")
def blank_white(drive, k):
    """overexposed: all white"""
    drive.show(k, np.full_like(drive.images[k], 255))


@fault("degraded")
def blank_grey(drive, k):
    """a test picture: all grey"""
    drive.show(k, np.full_like(drive.images[k], 128))


@fault("degraded")
def covered(drive, k):
    """a hand on the lens: dark, smooth, noisy"""
    shade = np.linspace(10, 60, drive.images[k].shape[1])[None]
    drive.show(k, shade + drive.rng.normal(0, 3, drive.images[k].shape))


@fault("degraded")
def frozen(drive, k):
    """the driver repeats one image with new stamps"""
    drive.show(k, drive.images[FIRST - 1])


@fault("degraded lost", frames=16)
def frozen_for_long(drive, k):
    """the same for longer than max_gap"""
    drive.show(k, drive.images[FIRST - 1])


@fault("degraded tracking")
def every_image_twice(drive, k):
    """each image comes again half a period later with a new stamp"""
    drive.show(k)
    drive.show(k, stamp_ns=drive.stamp_ns(k + 0.5))


@fault("degraded")
def thick_fog(drive, k):
    """contrast falls to a fiftieth"""
    drive.show(k, 150 + (drive.images[k].astype(float) - 128) / 50 + drive.rng.normal(0, 1, (192, 640)))


@fault("degraded tracking")
def noise(drive, k):
    """night with high gain: noise of 25 grey levels"""
    drive.show(k, drive.images[k] + drive.rng.normal(0, 25, drive.images[k].shape))


@fault("degraded tracking")
def out_of_focus(drive, k):
    """rain on the lens: blurred by 8 pixels"""
    drive.show(k, cv2.GaussianBlur(drive.images[k], (0, 0), 8))


@fault("tracking", frames=10)
def exposure_jump(drive, k):
    """half the light at once, and back"""
    drive.show(k, drive.images[k] * 0.5)


@fault("degraded tracking")
def flicker(drive, k):
    """brightness alternates by a third from image to image"""
    drive.show(k, drive.images[k] * (0.67 if k % 2 else 1.0))


@fault("degraded tracking", frames=2)
def torn_image(drive, k):
    """the lower half is of an image a second old"""
    drive.show(k, np.vstack([drive.images[k][:96], drive.images[k - 10][96:]]))


@fault("degraded", frames=1)
def image_of_noise(drive, k):
    """a single image of nothing but noise"""
    drive.show(k, drive.rng.integers(0, 256, drive.images[k].shape))


@fault("degraded tracking", frames=3)
def upside_down(drive, k):
    """the driver turns images over for a moment"""
    drive.show(k, drive.images[k][::-1, ::-1])


@fault("degraded tracking")
def dirt_on_half_the_lens(drive, k):
    """the left half is covered"""
    image = drive.images[k].copy()
    image[:, :320] = 20
    drive.show(k, image)


@fault("degraded tracking", frames=1)
def jerk_beyond_the_flow(drive, k):
    """the view jumps aside by 200 pixels and back"""
    drive.show(k, np.roll(drive.images[k], 200, axis=1))


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


@fault("tracking lost degraded", frames=1, anew=True)
def stamp_from_the_future(drive, k):
    """one image is stamped an hour ahead"""
    drive.show(k, stamp_ns=drive.stamp_ns(k) + 3600 * 10**9)


@fault("tracking degraded", frames=1, anew=True)
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


# -- the table -------------------------------------------------------------------------------------------
def table() -> str:
    from training.results import provenance

    about = provenance()
    length_m = np.linalg.norm(np.diff(street()[1][:, :3, 3], axis=0), axis=1).sum()
    lines = [
        "# Faults", "",
        f"`python test/faults/faults.py docs/results/faults.md`, commit {about['commit']}, {about['date']}, "
        f"{about['machine']}.", "",
        f"Each of {len(FAULTS)} faults injected into {FRAMES} frames (10 Hz) of a rendered street, through "
        "the node with the shipped student and max_gap of 1 s. The tests in test/faults check that no number "
        "published is infinite or NaN and that every covariance is positive definite. Recovered: frames "
        "after the fault until the status is tracking. The error is of the last pose after the whole drive "
        f"of {length_m:.0f} m; NEES is its square in units of the published covariance (6 on average, below "
        "12.6 in 95 of 100 drives).", "",
        "| fault | what happens | frames | published | status | dropped | recovered | error m | NEES |",
        "|---|---|---|---|---|---|---|---|---|"]
    for name, one in FAULTS.items():
        d = Drive(one).run()
        h = d.health
        counts = {"early": h.early, "late": h.late, "gap": h.gaps, "unusable": h.unusable, "paused": h.paused}
        dropped = ", ".join(f"{n} {why}" for why, n in counts.items() if n)
        error, nees = ("-", "-") if one.anew else (f"{v:.2f}" for v in d.pose_error())
        lines.append(f"| {name} | {one.text} | {one.frames} | {len(d.during)} | {', '.join(d.said) or '-'} | "
                     f"{dropped or '-'} | {d.recovered_after} | {error} | {nees} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(table())
    print(Path(sys.argv[1]).read_text())
