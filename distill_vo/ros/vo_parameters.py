"""The parameters of vo_node; config/vo.yaml holds the same defaults."""

from distill_vo.errors import InputError
from distill_vo.ros.parameters import Spec, Table

PARAMETERS: Table = {
    "model": Spec("flow-s", "Student: the name of one that comes with the package, or a path to a file."),
    "device": Spec("auto", "Where the student runs; auto takes a GPU where there is one.",
                   ("auto", "cpu", "cuda")),
    "camera_height": Spec(1.65, "Height of the camera above the road in metres; sets the metric scale. 0 "
                          "takes it from TF: the camera's z in ground_frame.", range=(0.0, 100.0)),
    "ground_frame": Spec("base_footprint", "Frame on the ground, for a camera_height of 0."),
    "calibration": Spec("", "ROS camera_info YAML file to be used instead of the topic camera_info."),
    "odom_frame": Spec("odom", "Frame the robot's pose is given in; its origin is the first image."),
    "base_frame": Spec("base_link", "Frame of the robot whose pose and twist are published."),
    "camera_frame": Spec("", "Optical frame of the camera; empty: frame_id of the images' header."),
    "publish_tf": Spec(True, "Whether odom -> base goes to /tf; false where a filter does that.",
                       live=True),
    "invert_tf": Spec(False, "Whether /tf gets base -> odom instead, for a base that has a parent already.",
                      live=True),
    "planar": Spec(False, "Whether the robot moves in the plane: z, roll and pitch are held to zero."),
    "max_gap": Spec(1.0, "Seconds without a usable image over which the last twist is carried on; after more "
                    "the robot is lost until images come.", range=(0.05, 60.0), live=True),
    "image_reliability": Spec("best_effort", "QoS of image and camera_info; best_effort matches every "
                              "camera driver.", ("best_effort", "reliable")),
    "image_depth": Spec(10, "Images that may wait for their turn; older ones are dropped.",
                        range=(1, 1000)),
    "image_transport": Spec("raw", "raw subscribes image (sensor_msgs/Image), compressed "
                            "image/compressed (CompressedImage).", ("raw", "compressed")),
    "autostart": Spec(True, "Configure and activate at start; false leaves that to a lifecycle manager."),
}


def checked(values: dict) -> dict:
    """The values with the names of frames as tf2 takes them, without a leading slash. Raises InputError."""
    frames = {name: values[name].lstrip("/") for name in ("odom_frame", "base_frame")}
    for name, frame in frames.items():
        if not frame:
            raise InputError(f"parameter '{name}': is empty; give the frame's name, as in "
                             f"{PARAMETERS[name].default}.")
    if frames["odom_frame"] == frames["base_frame"]:
        raise InputError(f"parameters 'odom_frame' and 'base_frame': are both {frame}; give the robot's own "
                         "frame as base_frame.")
    return values | frames
