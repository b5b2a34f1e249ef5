"""Offline readers: KITTI sequences, Malaga extracts, rosbag2 bags, folders of images, videos; no ROS.

A path goes in; a Source comes out, which gives Frames and knows their camera, its mounting on the
base and, where there is one, the truth.
"""

from dataclasses import replace
from pathlib import Path

from distill_vo.errors import InputError
from distill_vo.sources.source import Frame, Source, read_truth

__all__ = ["Frame", "Source", "open_source"]


def open_source(path: str | Path, *, camera_index: int | None = None,
                calibration: str | Path | None = None, mount_height_m: float | None = None,
                image_topic: str | None = None, truth: str | None = None,
                base_frame: str | None = None) -> Source:
    """Open whatever is at a path: KITTI sequence, Malaga extract, rosbag2 bag, folder of images, video.

    camera_index chooses between KITTI's image_0 and image_2; mount_height_m is the camera's height
    above the road (default 1.65 or the calibration file's); truth is a trajectory file or a bag's
    topic; base_frame is the robot's frame in a bag (default base_link). Raises InputError.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: does not exist; give a KITTI sequence, a rosbag2 bag, a folder "
                         "of images or a video.")
    calibration = Path(calibration) if calibration else None
    truth_file = Path(truth) if truth and Path(truth).is_file() else None
    try:
        source = _open(path, camera_index, calibration, mount_height_m, image_topic,
                       None if truth_file else truth, base_frame)
    except OSError as error:
        raise InputError(f"{error.filename or path}: cannot be read ({error.strerror}); check the "
                         "path and its permissions.") from error
    if truth_file is None:
        return source
    return replace(source, truth=read_truth(truth_file, source.base_T_camera, source.stamps_ns))


def _open(path: Path, camera_index, calibration, height_m, image_topic, truth_topic, base_frame) -> Source:
    from distill_vo.sources.bag import BASE, is_bag, open_bag_source
    from distill_vo.sources.images import open_images
    from distill_vo.sources.kitti import is_kitti, open_kitti
    from distill_vo.sources.malaga import is_malaga, open_malaga
    from distill_vo.sources.video import SUFFIXES, open_video
    if camera_index is not None and not is_kitti(path):
        raise InputError(f"{path}: is no KITTI sequence, of which --camera chooses one; leave it out.")
    if image_topic is not None and not is_bag(path):
        raise InputError(f"{path}: is no rosbag2 bag, of which --image-topic chooses one; leave it out.")
    if base_frame is not None and not is_bag(path):
        raise InputError(f"{path}: is no rosbag2 bag, of which --base-frame names the robot; leave it out.")
    if is_bag(path):
        return open_bag_source(path, image_topic, truth_topic, calibration, height_m,
                               base_frame=base_frame or BASE)
    if truth_topic:
        raise InputError(f"{truth_topic}: there is no such trajectory file, and {path} is not a "
                         "bag that could have such a topic; give a TUM or KITTI file.")
    if path.is_dir():
        if is_kitti(path):
            return open_kitti(path, camera_index, calibration, height_m)
        if is_malaga(path):
            return open_malaga(path, calibration, height_m)
        return open_images(path, calibration, height_m)
    if path.suffix.lower() in SUFFIXES:
        return open_video(path, calibration, height_m)
    raise InputError(f"{path}: is no rosbag2 file (.mcap, .db3) and no video "
                     f"({', '.join(SUFFIXES)}); give one, or a folder.")
