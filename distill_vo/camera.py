"""Calibrated cameras, and the one pinhole all networks see.

Pixel coordinates follow OpenCV: x right, y down, the centre of the first pixel at (0, 0). Focal
lengths and principal points are in pixels, heights in metres above the road.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from distill_vo.errors import InputError
from distill_vo.geometry import rotation_exp
from distill_vo.settings import read_yaml

# distortion model -> allowed numbers of coefficients (sensor_msgs/distortion_models)
DISTORTION_MODELS = {
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (0, 8, 12, 14),
    "equidistant": (0, 4),
}
LARGEST_SIDE = 16384  # pixels; beyond it a calibration is a mistake or an attack
FOCAL_LENGTHS = 1.0, 1e6  # pixels, the same
DEFAULT_HEIGHT_M = 1.65  # KITTI's; the networks' scale is learned at this height


@dataclass(frozen=True)
class Camera:
    """A calibrated camera. Raises InputError for values no camera can have."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    model: str = "plumb_bob"
    mount_height_m: float = DEFAULT_HEIGHT_M  # above the road: what metric scale hangs on

    def __post_init__(self):
        if not (0 < self.width <= LARGEST_SIDE and 0 < self.height <= LARGEST_SIDE):
            raise InputError(f"camera calibration: image size {self.width}x{self.height} is not "
                             f"between 1 and {LARGEST_SIDE} pixels a side; correct width and height.")
        values = (self.fx, self.fy, self.cx, self.cy, self.mount_height_m, *self.distortion)
        low, high = FOCAL_LENGTHS
        if not (np.isfinite(values).all() and low <= min(self.fx, self.fy) and max(self.fx, self.fy) <= high):
            raise InputError(f"camera calibration: focal lengths {self.fx}, {self.fy} must be from {low:.0f} "
                             f"to {high:.0f} pixels and every number finite; is the camera calibrated?")
        if self.mount_height_m <= 0:
            raise InputError(f"camera calibration: camera height {self.mount_height_m} m must be "
                             "positive; it is measured upwards from the road.")
        counts = DISTORTION_MODELS.get(self.model)
        if counts is None or len(self.distortion) not in counts:
            allowed = "; ".join(f"{m} with {c} coefficients" for m, c in DISTORTION_MODELS.items())
            raise InputError(f"camera calibration: distortion model '{self.model}' with "
                             f"{len(self.distortion)} coefficients is not known; use {allowed}.")

    @property
    def K(self) -> np.ndarray:
        """(3, 3) camera matrix."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    @classmethod
    def from_camera_info(cls, info, mount_height_m: float = DEFAULT_HEIGHT_M) -> "Camera":
        """From a sensor_msgs/CameraInfo of any ROS library; its binning and region are applied."""
        K = np.asarray(_field(info, "k", "K"), float).reshape(3, 3)
        distortion = tuple(float(v) for v in _field(info, "d", "D"))
        camera = cls(int(info.width), int(info.height), K[0, 0], K[1, 1], K[0, 2], K[1, 2],
                     distortion, info.distortion_model or "plumb_bob", mount_height_m)
        roi = info.roi
        if roi.width and roi.height:
            camera = replace(camera, width=int(roi.width), height=int(roi.height),
                             cx=camera.cx - roi.x_offset, cy=camera.cy - roi.y_offset)
        return camera.binned(max(1, info.binning_x), max(1, info.binning_y))

    @classmethod
    def from_projection(cls, P: np.ndarray, width: int, height: int,
                        mount_height_m: float = DEFAULT_HEIGHT_M) -> "Camera":
        """From a rectified projection matrix (3, 4), as KITTI's calib.txt gives it."""
        return cls(width, height, P[0, 0], P[1, 1], P[0, 2], P[1, 2],
                   mount_height_m=mount_height_m)

    @classmethod
    def from_yaml(cls, path: str | Path, mount_height_m: float | None = None) -> "Camera":
        """From the YAML file ROS camera calibration writes; `camera_height` (m) may be added to it."""
        content = read_yaml(path, "give a ROS camera_info YAML file.")
        try:
            K = np.array(content["camera_matrix"]["data"], float).reshape(3, 3)
            distortion = content.get("distortion_coefficients", {}).get("data", [])
            height_m = mount_height_m or float(content.get("camera_height", DEFAULT_HEIGHT_M))
            return cls(int(content["image_width"]), int(content["image_height"]),
                       K[0, 0], K[1, 1], K[0, 2], K[1, 2], tuple(float(v) for v in distortion),
                       str(content.get("distortion_model", "plumb_bob")), height_m)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(f"{path}: is not a ROS camera_info YAML file ({type(error).__name__}: "
                             f"{' '.join(str(error).split())}); it needs image_width, image_height "
                             "and camera_matrix.data.") from error

    def binned(self, x: int, y: int) -> "Camera":
        """The camera whose pixels are x by y of this one's."""
        return replace(self, width=self.width // x, height=self.height // y,
                       fx=self.fx / x, cx=(self.cx + 0.5) / x - 0.5,
                       fy=self.fy / y, cy=(self.cy + 0.5) / y - 0.5)


# The pinhole all networks see: KITTI's field of view at 640x192 with square pixels, a little narrower
# than KITTI's images so that every one of its calibrations covers it.
CANONICAL = Camera(640, 192, 380.0, 380.0, 319.5, 91.0)


def looking(turn: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) from a camera's axes to those of one that looks further down and further to the
    right by turn (..., 2), rad."""
    return rotation_exp(turn @ np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]))


def _field(info, *names):
    return next(getattr(info, name) for name in names if hasattr(info, name))
