"""What /diagnostics tell of a run: status, rate, latency, and the images that did not become odometry."""

import time

import numpy as np
import pytest
from bench import PERIOD_NS, drive, image_message, ready
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image

from distill_vo.ros import health, messages
from distill_vo.ros.health import Health

MISSED = "dropped: lost in the queue or on the way"


def test_diagnostics_tell_status_rate_latency_drops_model_and_camera(bench, images):
    robot = bench()
    assert robot.diagnostics()[0] == DiagnosticStatus.WARN  # waiting
    drive(robot, images[:1])
    ready(robot)
    drive(robot, images[1:8], 1)
    robot.show(3 * PERIOD_NS, images[3])
    robot.show(9 * PERIOD_NS, images[3][:50])
    level, values = robot.diagnostics()
    assert level == DiagnosticStatus.OK and values["status"] == "tracking"
    assert (values["frames"], values["dropped: late or twice"], values["dropped: unusable"],
            values["dropped: calibration or mounting unknown"]) == ("7", "1", "1", "1")
    assert values["device"] == "cpu" and len(values["model hash"]) == 12 and values["model"] == "tiny"
    assert values["camera coverage"] == "100%"
    assert float(values["rate (Hz)"]) > 0
    assert 0 < float(values["latency p50 (ms)"]) <= float(values["latency p95 (ms)"])
    for k in range(8, 30):
        robot.show(k * PERIOD_NS, np.zeros_like(images[0]))
    level, values = robot.diagnostics()
    assert level == DiagnosticStatus.ERROR and int(values["frames degraded"]) >= 10
    robot.show(90 * PERIOD_NS, images[0])
    assert robot.diagnostics()[1]["gaps"] == "1"


def test_diagnostics_of_a_camera_whose_images_do_not_fit_its_calibration(bench, images):
    robot = ready(bench())
    robot.show(0, images[0][:50])
    level, values = robot.diagnostics()
    assert (level, values["status"], values["dropped: unusable"]) == (DiagnosticStatus.WARN, "waiting", "1")


def test_diagnostics_do_not_call_it_tracking_while_no_image_is_used(bench, images, monkeypatch):
    robot = ready(bench())
    drive(robot, images[:4])
    clock = health.time.perf_counter
    monkeypatch.setattr(health.time, "perf_counter", lambda: clock() + 2 * health.SILENCE_S)
    robot.show(4 * PERIOD_NS, images[4][:50])
    level, values = robot.diagnostics()
    assert level == DiagnosticStatus.WARN and values["rate (Hz)"] == "0.0"
    robot.show(5 * PERIOD_NS, images[5])
    assert robot.diagnostics()[0] == DiagnosticStatus.OK


@pytest.mark.parametrize("told", ["received_timestamp", "source_timestamp"])
def test_odometry_is_as_old_as_its_image_that_waited_and_the_remedy_is_told(bench, images, told):
    robot = ready(bench())

    def show_late(k: int, image: np.ndarray) -> None:
        robot.take(image_message(k * PERIOD_NS, image), **{told: time.time_ns() - 430_000_000})

    for k, image in enumerate(images[:8]):
        show_late(k, image)
    level, values = robot.diagnostics()
    assert level == DiagnosticStatus.WARN and float(values["latency p50 (ms)"]) >= 430
    status, = robot.node.health.diagnostics("vo_node", Time(), {}).status
    assert "images queue, odometry is 4" in status.message and "lower the camera's rate" in status.message
    for k in range(8, 30):
        show_late(k, np.zeros_like(images[0]))
    assert robot.diagnostics()[0] == DiagnosticStatus.ERROR  # that nothing can be seen is worse


def test_a_sender_whose_clock_is_ahead_takes_nothing_from_the_latency(bench, images):
    robot = ready(bench())
    for k, image in enumerate(images[:4]):
        robot.take(image_message(k * PERIOD_NS, image), source_timestamp=time.time_ns() + 3600 * 10**9)
    assert robot.node.health.latency_ms(0) > 0


@pytest.mark.parametrize("numbers, missed", [
    ([3, 4, 7, 9], 3), ([8, 9, 1, 2], 0), ([None, None], 0), ([0, 0], 0)],
    ids=["gaps", "publisher started anew", "not told", "zero"])
def test_missing_numbers_of_a_publisher_are_images_that_were_lost(numbers, missed):
    heard = Health()
    for number in numbers:
        heard.heard({"received_timestamp": 0, "source_timestamp": 0,
                     "publication_sequence_number": number}, publishers=1)
    assert heard.missed == missed


def hear(bench, robot, k: int) -> bool:
    """Let the node on the bench hear the wire until it has made odometry of the robot's image k."""
    wanted = messages.time_from_ns(robot.stamp_ns(k))
    executor = SingleThreadedExecutor(context=bench.context)
    executor.add_node(bench.node)

    def done() -> bool:
        executor.spin_once(0)
        return bool(bench.odometry) and bench.odometry[-1].header.stamp == wanted

    heard = robot.until(done)
    executor.shutdown()
    return heard


def meet(bench, *publishers) -> bool:
    return bench.node._inputs[-2].get_publisher_count() == len(publishers) and all(
        publisher.get_subscription_count() for publisher in publishers)


@pytest.mark.parametrize("reliability", ["best_effort", "reliable"])
def test_an_image_that_was_sent_is_odometry_or_counted(bench, robot, reliability):
    slow = ready(bench(image_reliability=reliability, image_depth=3))
    assert robot.until(lambda: meet(slow, robot.image))
    robot.show(0)
    assert hear(slow, robot, 0)
    for k in range(1, 13):  # while the node is busy
        robot.show(k)
    assert hear(slow, robot, 12)
    missed = int(slow.diagnostics()[1][MISSED])
    assert missed > 0 and len(slow.odometry) + missed == 13
    assert f"{missed} in the queue or on the way" in str(slow.node.health)


def test_numbers_of_several_publishers_are_not_taken_for_one_row(bench, robot):
    one = ready(bench())
    other = robot.node.create_publisher(Image, "image", 10)
    assert robot.until(lambda: meet(one, robot.image, other))
    for k, publisher in enumerate([robot.image] * 3 + [other, robot.image]):
        publisher.publish(robot.image_message(k))
        assert hear(one, robot, k)
    assert one.diagnostics()[1][MISSED] == "0"
