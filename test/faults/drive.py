"""A drive of a rendered street with a fault in it, through the node on a bench (test/bench.py).

A fault is a function called instead of showing frame k, for each of its frames; `fault` registers it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from bench import FORWARD, Bench, image_message

from distill_vo import geometry
from distill_vo.camera import CANONICAL
from distill_vo.ros import messages
from training.data.rehearsal import RehearsalSettings, render_sequence

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
