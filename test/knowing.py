"""A student that knows the truth of a drive, and images that are told apart by their number."""

import numpy as np

from distill_vo import geometry
from distill_vo.camera import CANONICAL
from distill_vo.uncertainty import ErrorModel

PERIOD_NS = 100_000_000
EXACT = np.full(6, 1e-8)
SIGMA = np.array([0.01, 0.01, 0.003, 0.001, 0.002, 0.001])  # ahead so small that inertia has no say
USUAL = np.array([0.01, 0.01, 0.05, 0.001, 0.002, 0.001])


class NumberReader:
    """A front end that gives the numbers of the two images, and how much moved between them."""

    whole, looks_down = None, None

    def __init__(self, flow_px: float):
        self.flow_px = flow_px

    def __call__(self, previous, current):
        return np.array([previous.half[0, 0], current.half[0, 0]], float)

    def flow(self, x):
        return None

    def moved_px(self, x):
        return self.flow_px


class KnowingStudent:
    """Images are their own number in grey; the motion between two is looked up in the truth."""

    def __init__(self, camera_poses: np.ndarray, flow_px: float = 10.0, sigma: np.ndarray = EXACT):
        self.camera_poses, self.sigma = camera_poses, sigma
        self.front_end = NumberReader(flow_px)
        self.errors, self.squat = ErrorModel(), 0.0

    def __call__(self, x):
        before, after = self.camera_poses[x[:2].astype(int)]
        return geometry.to_motion(geometry.inverse(before) @ after), self.sigma


NOISE = np.random.default_rng(5).integers(0, 256, (CANONICAL.height // 8, CANONICAL.width // 8), np.uint8)
SCENE = np.kron(NOISE, np.ones((8, 8), np.uint8))


def image(number: int) -> np.ndarray:
    """A canonical view, all alike but for its number."""
    view = SCENE.copy()
    view[:2, :2] = number
    return view


def drive(frames: int = 100) -> np.ndarray:
    """(N, 4, 4) camera poses of a winding, climbing drive."""
    steps = np.random.default_rng(0).normal([0, 0, 1, 0, 0.05, 0], [0.02, 0.02, 0.02, 0.01, 0.03, 0.01],
                                            size=(frames - 1, 6))
    poses = [np.eye(4)]
    for step in geometry.from_motion(steps):
        poses.append(poses[-1] @ step)
    return np.array(poses)


def ahead(speeds: np.ndarray) -> np.ndarray:
    """(N + 1, 4, 4) camera poses of a straight drive at these speeds (N,), m/s, at 10 Hz."""
    way = np.concatenate([[0], np.cumsum(speeds)]) * PERIOD_NS * 1e-9
    return geometry.exp(way[:, None] * np.array([0, 0, 1.0, 0, 0, 0]))
