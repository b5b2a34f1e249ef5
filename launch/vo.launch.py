"""The visual odometry node on a camera's topics.

ros2 launch distill_vo vo.launch.py image_topic:=/camera/image_raw \
    camera_info_topic:=/camera/camera_info camera_height:=1.2

An argument given here goes before params_file; one left empty leaves it to that file. Start the camera
driver with FASTDDS_BUILTIN_TRANSPORTS='DEFAULT?sockets_size=4MB' too, or give image_reliability:=reliable.
"""

from difflib import get_close_matches
from pathlib import Path

from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from distill_vo.ros.process import FAST_DDS_TRANSPORTS, FAST_DDS_VARIABLE
from launch import LaunchDescription

CONFIG = PathJoinSubstitution([FindPackageShare("distill_vo"), "config"])
ARGUMENTS = {
    "image_topic": ("/camera/image_raw", "sensor_msgs/Image as the camera sees it, not rectified; with "
                    "image_transport:=compressed its name with or without that end"),
    "camera_info_topic": ("/camera/camera_info", "sensor_msgs/CameraInfo whose K and D are of that image"),
    "params_file": (PathJoinSubstitution([CONFIG, "vo.yaml"]), "parameters of the node"),
    "namespace": ("", "of the node, and so of its odom and path"),
    "rviz": ("false", "whether RViz shows odometry and path"),
}
# name -> type, what it is; empty by default
PARAMETERS = {
    "model": (str, "name or file of a student"),
    "device": (str, "auto, cpu or cuda"),
    "camera_height": (float, "of the camera above the road, metres; 0: from TF"),
    "ground_frame": (str, "frame on the ground, for a camera_height of 0"),
    "calibration": (str, "camera_info YAML file instead of the topic"),
    "odom_frame": (str, "frame of the pose"),
    "base_frame": (str, "frame of the robot whose pose and twist are published"),
    "camera_frame": (str, "optical frame of the camera; empty here and there: frame_id of the images"),
    "publish_tf": (bool, "whether odom -> base goes to /tf; false where a filter does that"),
    "invert_tf": (bool, "whether /tf gets base -> odom instead"),
    "planar": (bool, "whether z, roll and pitch are held to zero"),
    "max_gap": (float, "seconds without a usable image that are bridged"),
    "image_transport": (str, "raw or compressed"),
    "image_reliability": (str, "best_effort or reliable"),
    "image_depth": (int, "images that may wait for their turn"),
    "autostart": (bool, "whether it configures and activates itself"),
    "use_sim_time": (bool, "whether time comes from /clock"),
}


def generate_launch_description():
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=text)
          for name, (default, text) in ARGUMENTS.items()),
        *(DeclareLaunchArgument(name, default_value="", description=text)
          for name, (_, text) in PARAMETERS.items()),
        SetEnvironmentVariable(FAST_DDS_VARIABLE,
                               EnvironmentVariable(FAST_DDS_VARIABLE, default_value=FAST_DDS_TRANSPORTS)),
        OpaqueFunction(function=start_node),
        Node(package="rviz2", executable="rviz2", namespace=LaunchConfiguration("namespace"),
             arguments=["-d", PathJoinSubstitution([CONFIG, "vo.rviz"])],
             remappings=[("image", LaunchConfiguration("image_topic"))],
             condition=IfCondition(LaunchConfiguration("rviz"))),
    ])


def start_node(context):
    file = Path(LaunchConfiguration("params_file").perform(context))
    if not file.is_file():
        raise RuntimeError(f"params_file {file}: there is no such file; launch_ros would go on without it.")
    given = {name: ParameterValue(LaunchConfiguration(name), value_type=kind)
             for name, (kind, _) in PARAMETERS.items() if LaunchConfiguration(name).perform(context)}
    return [*misspelt(context.launch_configurations), Node(
        package="distill_vo", executable="vo_node", output="screen",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), given],
        remappings=[("image", LaunchConfiguration("image_topic")),
                    ("camera_info", LaunchConfiguration("camera_info_topic"))])]


def misspelt(names):
    """What to say of arguments that look like another; those unlike any are of who includes this file."""
    known = (*ARGUMENTS, *PARAMETERS)
    close = {name: get_close_matches(name, known, 1, cutoff=0.9) for name in names if name not in known}
    return [LogInfo(msg=f"argument {name} is not known; did you mean {found[0]}?")
            for name, found in close.items() if found]
