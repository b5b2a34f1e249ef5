"""How far off the true rotations of a real recording are themselves, as its images tell.

A student and the five-point algorithm have little in common but the images; where both say alike that the
truth is wrong, it is. Only what changes from one frame to the next counts: what lasts may as well be an error
of the camera's calibration, which both share.
Sources: Gray, Allan, "A Method for Estimating the Frequency Stability of an Individual Oscillator", Annual
Symposium on Frequency Control, 1974 (what two that err on their own show of a third); Nister, "An Efficient
Solution to the Five-Point Relative Pose Problem", PAMI 2004, and Barath et al., "MAGSAC++, a Fast, Reliable
and Accurate Robust Estimator", CVPR 2020 (OpenCV's).
"""

from itertools import accumulate, pairwise

import cv2
import numpy as np

from distill_vo import geometry
from distill_vo.camera import Camera
from distill_vo.odometry import Estimate
from distill_vo.sources import Source
from distill_vo.trajectory import Trajectory

MOST_POINTS, QUALITY, APART_PX = 2000, 0.003, 7  # OpenCV's corners
AGAIN_PX, EPIPOLAR_PX, SURE = 0.3, 0.5, 0.9999  # a point comes back when followed back; MAGSAC's
FEWEST_POINTS = 50
GROSS_RAD = np.radians(0.3)  # what says that the truth is wrong by more is wrong itself


def truth_sigma(source: Source, estimates: list[Estimate], truth: np.ndarray) -> np.ndarray:
    """One sigma (3,) by which the true rotation from one image to the next is wrong, rad, base axes.

    estimates of a student at images of the source, which have no lens distortion; truth (N, 4, 4) there.
    """
    seen, true = _five_point_turns(source, _images(source), [e.stamp_ns for e in estimates]), _turns(truth)
    return common_sigma(seen - true, _turns(np.array([e.pose for e in estimates])) - true)


def true_and_seen(source: Source) -> tuple[Trajectory, Trajectory]:
    """The truth where there are images, and the same with rotations from each to the next as the five-point
    algorithm finds them; where it finds none, or grossly others, the truth's own. Images have no lens
    distortion."""
    images = _images(source)
    with_image = np.isin(source.truth.stamps_ns, list(images))
    stamps_ns, poses = source.truth.stamps_ns[with_image], source.truth.poses[with_image]
    turns, true = _five_point_turns(source, images, stamps_ns.tolist()), _turns(poses)
    is_seen = np.linalg.norm(turns - true, axis=1, keepdims=True) < GROSS_RAD
    turns = geometry.rotation_exp(np.where(is_seen, turns, true))
    seen = poses.copy()
    seen[:, :3, :3] = list(accumulate(turns, np.matmul, initial=poses[0, :3, :3]))
    return Trajectory.from_poses(stamps_ns, poses), Trajectory.from_poses(stamps_ns, seen)


def _images(source: Source) -> dict[int, np.ndarray]:
    """Stamp, ns -> image."""
    return {frame.stamp_ns: frame.image for frame in source if frame.image is not None}


def _five_point_turns(source: Source, images: dict[int, np.ndarray], stamps_ns: list[int]) -> np.ndarray:
    """Rotation vectors (N - 1, 3) from each image to the next, base axes; NaN where too little is seen."""
    seen = [five_point_rotation(images[first], images[second], source.camera)
            for first, second in pairwise(stamps_ns)]
    R = source.base_T_camera[:3, :3]
    return geometry.rotation_log(R @ np.array(seen) @ R.T)


def _turns(poses: np.ndarray) -> np.ndarray:
    """Poses (N, 4, 4) -> rotation vectors (N - 1, 3) from each to the next."""
    R = poses[:, :3, :3]
    return geometry.rotation_log(np.swapaxes(R[:-1], 1, 2) @ R[1:])


def common_sigma(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Errors (N, 3) of two methods against one truth, NaN where unknown -> one sigma (3,) of the truth's,
    which is new each time, of three axes."""
    steps = [np.diff(np.where(np.abs(errors) < GROSS_RAD, errors, np.nan), axis=0)
             for errors in (first, second)]
    return np.sqrt(np.maximum(np.nanmean(steps[0] * steps[1], axis=0), 0) / 2)


def five_point_rotation(first: np.ndarray, second: np.ndarray, camera: Camera) -> np.ndarray:
    """Two images (H, W) or (H, W, 3), uint8 -> the camera's rotation (3, 3) between them, from the second's
    axes to the first's; NaN where too little is seen."""
    first, second = (image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
                     for image in (first, second))
    begin = cv2.goodFeaturesToTrack(first, MOST_POINTS, QUALITY, APART_PX)
    if begin is None:
        return np.full((3, 3), np.nan)
    end, found, _ = cv2.calcOpticalFlowPyrLK(first, second, begin, None, maxLevel=4)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(second, first, end, None, maxLevel=4)
    again = np.linalg.norm(begin - back, axis=2) < AGAIN_PX
    good = (again & (found == 1) & (found_back == 1)).ravel()
    if good.sum() < FEWEST_POINTS:
        return np.full((3, 3), np.nan)
    essential, inliers = cv2.findEssentialMat(begin[good], end[good], camera.K, cv2.USAC_MAGSAC, SURE,
                                              EPIPOLAR_PX)
    if essential is None or essential.shape != (3, 3):
        return np.full((3, 3), np.nan)
    return cv2.recoverPose(essential, begin[good], end[good], camera.K, mask=inliers)[1].T
