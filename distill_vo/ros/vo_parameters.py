"""The parameters of vo_node; config/vo.yaml holds the same defaults."""

from distill_vo.ros.parameters import Spec, Table

PARAMETERS: Table = {
    "model": Spec("flow-s", "Student: the name of one that comes with the package, or a path to a file."),
    "device": Spec("auto", "Where the student runs; auto takes a GPU where there is one.",
                   ("auto", "cpu", "cuda")),
    "camera_height": Spec(1.65, "Height of the camera above the road in metres; sets the metric scale.",
                          range=(0.05, 100.0)),
    "odom_frame": Spec("odom", "Frame the robot's pose is given in; its origin is the first image."),
    "base_frame": Spec("base_link", "Frame of the robot whose pose and twist are published."),
    "camera_frame": Spec("", "Optical frame of the camera; empty: frame_id of the images' header."),
    "publish_tf": Spec(True, "Whether odom -> base goes to /tf; false where a filter does that.",
                       live=True),
    "image_reliability": Spec("best_effort", "QoS of image and camera_info; best_effort matches every "
                              "camera driver.", ("best_effort", "reliable")),
    "image_depth": Spec(10, "Images that may wait for their turn; older ones are dropped.",
                        range=(1, 1000)),
    "image_transport": Spec("raw", "raw subscribes image (sensor_msgs/Image), compressed "
                            "image/compressed (CompressedImage).", ("raw", "compressed")),
    "autostart": Spec(True, "Configure and activate at start; false leaves that to a lifecycle manager."),
}
