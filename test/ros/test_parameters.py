"""What a parameter takes, and what is said to anything else."""

from pathlib import Path

import pytest
import yaml
from rclpy.parameter import Parameter

from distill_vo.ros.parameters import judge, refusal
from distill_vo.ros.vo_parameters import PARAMETERS


@pytest.mark.parametrize("name, value", [
    ("camera_height", 2), ("camera_height", 0.0), ("max_gap", 5), ("device", "cpu"), ("publish_tf", False),
    ("image_depth", 1), ("camera_frame", ""),
    ("use_sim_time", True), ("qos_overrides./odom.publisher.depth", 3)])
def test_what_is_allowed_passes(name, value):
    assert refusal(PARAMETERS, name, value) is None


@pytest.mark.parametrize("name, value, allowed", [
    ("camera_height", -0.1, "from 0.0 to 100.0"), ("camera_height", float("nan"), "from 0.0"),
    ("max_gap", 0.0, "from 0.05 to 60.0"),
    ("camera_height", "tall", "a number"), ("camera_height", True, "a number"),
    ("image_depth", 1.5, "a whole number"), ("publish_tf", "yes", "true or false"),
    ("device", "tpu", "auto, cpu, cuda"), ("model", 3, "text"), ("modell", "flow-s", "model"),
    ("qos_overrides./image.subscription.depth", 3, "image_depth")])
def test_what_is_not_allowed_is_answered_with_what_is(name, value, allowed):
    sentence = refusal(PARAMETERS, name, value)
    assert f"'{name}'" in sentence and allowed in sentence and "\n" not in sentence


def test_only_live_parameters_change_while_the_node_is_configured():
    height, tf = Parameter("camera_height", value=1.2), Parameter("publish_tf", value=False)
    assert judge(PARAMETERS, [tf], configured=True).successful
    assert judge(PARAMETERS, [height, tf], configured=False).successful
    assert "clean" in judge(PARAMETERS, [tf, height], configured=True).reason


def test_the_file_in_config_holds_every_parameter_and_its_default():
    text = (Path(__file__).parents[2] / "config" / "vo.yaml").read_text()
    assert yaml.safe_load(text)["/**"]["ros__parameters"] == {n: s.default for n, s in PARAMETERS.items()}
