"""The visual odometry node on a camera's topics.

ros2 launch distill_vo vo.launch.py image_topic:=/camera/image_raw \
    camera_info_topic:=/camera/camera_info camera_height:=1.2

An argument given here goes before params_file; one left empty leaves it to that file.
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

CONFIG = PathJoinSubstitution([FindPackageShare("distill_vo"), "config"])
ARGUMENTS = {
    "image_topic": ("/camera/image_raw",
                    "sensor_msgs/Image; with image_transport:=compressed its name without that end"),
    "camera_info_topic": ("/camera/camera_info", "sensor_msgs/CameraInfo of the same camera"),
    "params_file": (PathJoinSubstitution([CONFIG, "vo.yaml"]), "parameters of the node"),
    "model": ("", "name or file of a student"),
    "camera_height": ("", "of the camera above the road, metres"),
    "image_transport": ("", "raw or compressed"),
    "image_reliability": ("", "best_effort or reliable"),
    "use_sim_time": ("false", "whether time comes from /clock"),
    "namespace": ("", "of the node, and so of its odom and path"),
    "rviz": ("false", "whether RViz shows odometry and path"),
}
# With Fast DDS's default transports full camera frames get lost between processes. Without effect
# where ROS_AUTOMATIC_DISCOVERY_RANGE is LOCALHOST: image_reliability:=reliable helps there.
FAST_DDS = "FASTDDS_BUILTIN_TRANSPORTS"
LARGE_DATA = "LARGE_DATA?max_msg_size=4MB&sockets_size=4MB"


def generate_launch_description():
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=text)
          for name, (default, text) in ARGUMENTS.items()),
        SetEnvironmentVariable(FAST_DDS, EnvironmentVariable(FAST_DDS, default_value=LARGE_DATA)),
        OpaqueFunction(function=start_node),
        Node(package="rviz2", executable="rviz2", namespace=LaunchConfiguration("namespace"),
             arguments=["-d", PathJoinSubstitution([CONFIG, "vo.rviz"])],
             remappings=[("image", LaunchConfiguration("image_topic"))],
             condition=IfCondition(LaunchConfiguration("rviz"))),
    ])


def start_node(context):
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    parameters = {"use_sim_time": given["use_sim_time"].lower() == "true"}
    if given["camera_height"]:
        parameters["camera_height"] = float(given["camera_height"])
    for name in ("model", "image_transport", "image_reliability"):
        if given[name]:
            parameters[name] = given[name]
    return [Node(
        package="distill_vo", executable="vo_node", namespace=given["namespace"], output="screen",
        parameters=[given["params_file"], parameters],
        remappings=[("image", given["image_topic"]), ("camera_info", given["camera_info_topic"])])]
