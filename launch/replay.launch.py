"""A rosbag2 bag through the node, and the odometry judged; everything ends with the bag.

ros2 launch distill_vo replay.launch.py bag:=drive out:=results

Arguments of vo.launch.py do here as well: image_topic and camera_info_topic choose among several
cameras. In lockstep (the default) every image is used and figures are the same every time;
lockstep:=false plays in real time, rviz:=true shows it.
"""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, ThisLaunchFileDir
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from distill_vo.ros.waiting import compressed
from launch import LaunchDescription

# name -> type, default (None: must be given), what it is
ARGUMENTS = {
    "bag": (str, None, "folder of a rosbag2 bag (mcap or sqlite3)"),
    "out": (str, "results", "folder for trajectory, picture and figures"),
    "lockstep": (bool, "true", "send the next image when the odometry of the last has come"),
    "rate": (float, "1.0", "pace of a replay that is not in lockstep"),
    "start": (float, "0.0", "seconds of the bag to skip"),
    "loop": (bool, "false", "begin again at the end"),
}


def generate_launch_description():
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=text)
          for name, (_, default, text) in ARGUMENTS.items()),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(PathJoinSubstitution([ThisLaunchFileDir(), "vo.launch.py"])),
            launch_arguments={"use_sim_time": "true", "image_reliability": "reliable"}.items()),
        OpaqueFunction(function=start_replay),
    ])


def start_replay(context):
    parameters = {name: ParameterValue(LaunchConfiguration(name), value_type=kind)
                  for name, (kind, _, _) in ARGUMENTS.items()}
    topic = LaunchConfiguration("image_topic").perform(context)
    if LaunchConfiguration("image_transport").perform(context) == "compressed":
        topic = compressed(topic)
    parameters["image_topic"] = ParameterValue(topic, value_type=str)
    if LaunchConfiguration("base_frame").perform(context):
        parameters["base_frame"] = ParameterValue(LaunchConfiguration("base_frame"), value_type=str)
    return [Node(package="distill_vo", executable="replay", output="screen", parameters=[parameters],
                 namespace=LaunchConfiguration("namespace"),
                 on_exit=Shutdown(reason="the bag has been replayed"))]
