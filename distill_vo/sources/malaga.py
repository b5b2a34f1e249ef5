"""An extract of the Malaga Stereo and Laser Urban Data Set: left images, camera parameters, GPS.

    malaga-urban-dataset-extract-07/
      camera_params_rectified_a=0_800x600.txt   [CAMERA_LEFT] resolution=[800 600] cx= cy= fx= fy= dist=[..]
      malaga-urban-dataset-extract-07_all-sensors_GPS.txt   Time Lat Lon Alt fix ... Local_X Local_Y Local_Z
      malaga-urban-dataset-extract-07_rectified_800x600_Images/img_CAMERA1_1261229981.580023_left.jpg ...

Stamps are in the images' names. GPS gives positions once a second and no orientation: the truth is the path
alone. The base is taken to be on the road beneath a level, forward-looking camera.
Source of the formats: Blanco, Moreno, Gonzalez, IJRR 2014, and the data set's README files.
"""

import logging
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from distill_vo.camera import DEFAULT_HEIGHT_M, Camera
from distill_vo.errors import InputError
from distill_vo.sources.source import Source, check_size, first_image, level_mounting, read_frames
from distill_vo.trajectory import Trajectory, to_nanoseconds

LEFT = re.compile(r".*_(\d+\.\d+)_left\.(?:jpg|jpeg|png)", re.IGNORECASE)
FIX, LOCAL = 4, slice(8, 11)  # columns of the GPS file: 0 where the signal is lost; x, y, z in metres
NEAR_NS = 100_000_000  # a fix without an image this close is left out

log = logging.getLogger(__name__)


def is_malaga(path: Path) -> bool:
    return bool(_image_folders(path))


def open_malaga(path: Path, calibration: Path | None = None, mount_height_m: float | None = None) -> Source:
    """Open an extract's folder, or a folder of its left images. Raises InputError."""
    folder = _image_folders(path)[0]
    images = sorted((to_nanoseconds(match[1]), file) for file in folder.iterdir()
                    if (match := LEFT.fullmatch(file.name)))
    stamps, files = np.array([stamp for stamp, _ in images], np.int64), [file for _, file in images]
    height, width = first_image(files).shape[:2]
    if calibration:
        camera = Camera.from_yaml(calibration, mount_height_m)
        check_size(folder, width, height, camera)
    else:
        camera = read_camera(find_parameters(folder, width, height), mount_height_m or DEFAULT_HEIGHT_M)
    gps = _beside(folder, "*GPS*.txt")
    if len(gps) != 1:
        log.warning("%s: has %d GPS files, not one; the path is compared with none", path, len(gps))
    truth = at_images(read_gps(gps[0]), stamps) if len(gps) == 1 else None
    return Source(path.resolve().name, camera, level_mounting(camera.mount_height_m), len(files),
                  partial(read_frames, files, stamps, camera), truth, stamps)


def _image_folders(path: Path) -> list[Path]:
    """Folders with left images at or in path; rectified ones first, then by name."""
    found = [f for f in (path, *sorted(p for p in path.iterdir() if p.is_dir()))
             if any(LEFT.fullmatch(image.name) for image in f.iterdir())]
    return sorted(found, key=lambda f: ("rectified" not in f.name, f.name))


def _beside(folder: Path, pattern: str) -> list[Path]:
    """Files in the folder of images, or else in the one around it."""
    return sorted(folder.glob(pattern)) or sorted(folder.resolve().parent.glob(pattern))


def find_parameters(folder: Path, width: int, height: int) -> Path:
    """The camera parameter file for images of this size in `folder`. Raises InputError."""
    kind = "rectified" if "rectified" in folder.name else "raw" if folder.name == "Images" else ""
    found = [f for f in _beside(folder, f"camera_params*{kind}*.txt") if f"{width}x{height}" in f.name]
    if len(found) == 1:
        return found[0]
    why = f"{', '.join(f.name for f in found)} all fit" if found else "there is none"
    raise InputError(f"{folder}: needs one camera_params_..._{width}x{height}.txt beside it, but {why}; put "
                     "the data set's own there or give --calibration FILE.")


def read_camera(path: Path, mount_height_m: float) -> Camera:
    """The left camera of an MRPT parameter file. Raises InputError."""
    values: dict[str, list[float]] = {}
    section = ""
    try:
        for line in path.read_text().splitlines():
            line = re.split(r"//|#|;|%", line)[0].strip()
            if line.startswith("["):
                section = line.upper()
            elif "LEFT" in section and "POSE" not in section and "=" in line:
                key, value = line.split("=", 1)
                values[key.strip()] = [float(v) for v in value.strip(" []").replace(",", " ").split()]
        width, height = values["resolution"]
        numbers = (values[name][0] for name in ("fx", "fy", "cx", "cy"))
        distortion = tuple(values.get("dist", ()))
        return Camera(int(width), int(height), *numbers, distortion if any(distortion) else (),
                      mount_height_m=mount_height_m)
    except (OSError, KeyError, IndexError, ValueError, OverflowError) as error:
        reason = error if isinstance(error, InputError) else type(error).__name__ + f" {error}"
        raise InputError(f"{path}: is no camera parameter file of the Malaga data set ({reason}); it needs a "
                         "section [CAMERA_LEFT] with resolution, fx, fy, cx, cy and dist.") from error


def read_gps(path: Path) -> Trajectory:
    """Positions where there was a fix, from an all-sensors GPS file or a TUM file. Raises InputError."""
    try:
        lines = path.read_text().splitlines()
        rows = [words for line in lines if (words := re.split("[%#]", line)[0].split())]
        tum = {len(words) for words in rows} == {8}
        stamps = np.array([to_nanoseconds(words[0]) for words in rows], np.int64)
        values = np.array([[float(v) for v in words] for words in rows])
        there = np.full(len(rows), True) if tum else values[:, FIX] > 0
        positions = values[:, 1:4] if tum else values[:, LOCAL]
        positions, stamps = positions[there], stamps[there]
        if positions.shape[1] != 3 or len(stamps) < 2 or not np.isfinite(positions).all():
            raise ValueError("fewer than two finite fixes")
    except (OSError, ValueError, IndexError, OverflowError) as error:
        raise InputError(f"{path}: is no GPS file of the Malaga data set ({error}); it has 25 columns, x, y "
                         "and z in the ninth to eleventh.") from error
    if (np.diff(stamps) <= 0).any():
        at = stamps[np.argmax(np.diff(stamps) <= 0)] / 1e9
        raise InputError(f"{path}: time goes backwards or stands still after {at:.3f} s; sort its lines.")
    quaternions = np.tile([0.0, 0.0, 0.0, 1.0], (len(stamps), 1))
    return Trajectory(stamps, positions, quaternions, oriented=False)


def at_images(gps: Trajectory, stamps_ns: np.ndarray) -> Trajectory | None:
    """For each GPS fix its position moved along the track to the moment of the nearest image.

    Only the images next to fixes get a position: between fixes, a second apart, a bend would be cut.
    """
    after = np.clip(np.searchsorted(stamps_ns, gps.stamps_ns), 1, len(stamps_ns) - 1)
    before_is_nearer = gps.stamps_ns - stamps_ns[after - 1] < stamps_ns[after] - gps.stamps_ns
    nearest = stamps_ns[after - before_is_nearer]
    inside = (nearest >= gps.stamps_ns[0]) & (nearest <= gps.stamps_ns[-1])
    stamps = np.unique(nearest[inside & (np.abs(nearest - gps.stamps_ns) < NEAR_NS)])
    if len(stamps) == 0:
        return None
    start = stamps[0]  # float64 seconds of the epoch would round to a fifth of a microsecond
    track = [np.interp((stamps - start) / 1e9, (gps.stamps_ns - start) / 1e9, x) for x in gps.positions.T]
    return replace(gps, stamps_ns=stamps, positions=np.stack(track, axis=1),
                   quaternions=gps.quaternions[:len(stamps)])
