"""The launch files with the real launch and real processes, where those are installed."""

import runpy
from pathlib import Path

import pytest
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from distill_vo.trajectory import read

pytest.importorskip("launch_ros", reason="launch and launch_ros come with a ROS 2 installation")

from launch.actions import IncludeLaunchDescription, RegisterEventHandler, Shutdown, TimerAction  # noqa: E402
from launch.event_handlers import OnProcessExit, OnProcessIO  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402

from launch import LaunchDescription, LaunchService  # noqa: E402

FOLDER = Path(__file__).parents[2] / "launch"
DEADLINE_S = 60.0


class Launched:
    """A launch file run to its end: what its processes said, and their exit codes by name."""

    def __init__(self, file: str, until: str | None = None, **arguments):
        """until: shut down when a process has said this."""
        self.said, self.codes, self._until = "", {}, until
        source = PythonLaunchDescriptionSource(str(FOLDER / file))
        service = LaunchService(noninteractive=True)
        service.include_launch_description(LaunchDescription([
            RegisterEventHandler(OnProcessIO(on_stdout=self._on_text, on_stderr=self._on_text)),
            RegisterEventHandler(OnProcessExit(on_exit=self._on_exit)),
            TimerAction(period=DEADLINE_S, actions=[Shutdown()]),
            IncludeLaunchDescription(source, launch_arguments=[(k, str(v)) for k, v in arguments.items()]),
        ]))
        self.code = service.run()

    def _on_text(self, event):
        self.said += event.text.decode()
        if self._until and self._until in self.said:
            self._until = None
            return [Shutdown()]

    def _on_exit(self, event, context):
        self.codes[event.process_name.split("-")[0]] = event.returncode


@pytest.fixture(autouse=True)
def installed():
    try:
        get_package_prefix("distill_vo")
    except PackageNotFoundError:
        pytest.skip("distill_vo is not installed here (colcon build, and source its setup file)")


def test_replay_launch_writes_figures_and_ends_with_the_bag(domain, model, bag, tmp_path):
    launched = Launched("replay.launch.py", bag=bag, out=tmp_path / "out", model=model)
    assert launched.code == 0 and launched.codes == {"vo_node": 0, "replay": 0}, launched.said
    assert len(read(tmp_path / "out" / "trajectory.tum")) == 12
    assert "12 images sent, 0 without odometry" in launched.said


@pytest.mark.parametrize("topic", ["/rear/image_raw", "/rear/image_raw/compressed"])
def test_replay_launch_asks_for_the_camera_that_was_chosen(domain, model, bag, tmp_path, topic):
    launched = Launched("replay.launch.py", bag=bag, out=tmp_path / "out", model=model,
                        image_topic=topic, image_transport="compressed")
    assert launched.codes["replay"] == 2, launched.said
    assert "has no image topic /rear/image_raw/compressed" in launched.said


def test_vo_launch_starts_the_node_with_what_was_given(domain, model):
    launched = Launched("vo.launch.py", until="student tiny", model=model, camera_height=2, device="cpu",
                        publish_tf="false", base_frame="car", odom_frame="start", camera_frame="lens",
                        namespace="front", image_topic="/front/image_raw")
    assert launched.code == 0 and launched.codes == {"vo_node": 0}, launched.said
    assert "[front.vo_node]" in launched.said


def test_an_argument_that_looks_like_another_is_told():
    misspelt = runpy.run_path(str(FOLDER / "vo.launch.py"))["misspelt"]
    told, = misspelt(["camera_hight", "camera_height", "robot_name"])
    assert told.msg[0].text == "argument camera_hight is not known; did you mean camera_height?"


@pytest.mark.parametrize("argument", [{"camera_height": "abc"}, {"publish_tf": "perhaps"},
                                      {"params_file": "nowhere.yaml"}])
def test_a_value_of_the_wrong_type_is_refused_before_anything_starts(domain, argument, caplog):
    launched = Launched("vo.launch.py", **argument)
    assert launched.code != 0 and not launched.codes
    assert next(iter(argument.values())) in caplog.text and "Traceback" not in caplog.text
