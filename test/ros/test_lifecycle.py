"""The node through its lifecycle, inside this process."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from distill_vo.ros.node import VisualOdometryNode

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


@pytest.fixture
def node(domain, model):
    context = rclpy.Context()
    rclpy.init(context=context)
    node = VisualOdometryNode(context=context, parameter_overrides=[
        Parameter("model", value=str(model)), Parameter("autostart", value=False)])
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def topics(node) -> set[str]:
    """Topics it subscribes or publishes itself."""
    of_ros = {"/parameter_events", "/rosout"}
    subscribed = {s.topic_name for s in node.subscriptions}
    return (subscribed | {p.topic_name for p in node.publishers} - {"/vo_node/transition_event"}) - of_ros


def test_it_holds_topics_and_student_only_while_it_needs_them(node):
    node.start()  # autostart is off
    assert topics(node) == set()
    for _ in range(2):
        assert node.trigger_configure() == SUCCESS
        assert topics(node) == {"/odom", "/path", "/tf", "/diagnostics"}
        assert node.trigger_activate() == SUCCESS
        assert topics(node) == {
            "/odom", "/path", "/tf", "/diagnostics", "/tf_static", "/image", "/camera_info", "/set_pose"}
        assert node.trigger_deactivate() == SUCCESS
        assert topics(node) == {"/odom", "/path", "/tf", "/diagnostics"}
        assert node.trigger_cleanup() == SUCCESS
        assert topics(node) == set()
        assert node.set_parameters([Parameter("camera_height", value=1.0)])[0].successful
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
    assert node.trigger_shutdown() == SUCCESS
    assert topics(node) == set()


@pytest.mark.parametrize("name", ["nobody", "n" * 300])
def test_a_model_that_is_none_fails_to_configure_and_another_may_be_set_then(node, model, name):
    assert node.set_parameters([Parameter("model", value=name)])[0].successful
    assert node.trigger_configure() == FAILURE
    assert name in str(node.fault)
    assert node.set_parameters([Parameter("model", value=str(model))])[0].successful
    assert node.trigger_configure() == SUCCESS


def test_what_was_read_at_configure_is_refused_later(node):
    assert node.trigger_configure() == SUCCESS
    refused = node.set_parameters([Parameter("camera_height", value=1.0)])[0]
    assert not refused.successful and "camera_height" in refused.reason
    assert node.set_parameters([Parameter("publish_tf", value=False)])[0].successful
    assert not node.set_parameters([Parameter("publish_tf", value="maybe")])[0].successful


def test_a_reliability_set_between_two_configurations_counts(node):
    for reliability in ("best_effort", "reliable"):
        assert node.set_parameters([Parameter("image_reliability", value=reliability)])[0].successful
        assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
        image, = (s for s in node.subscriptions if s.topic_name == "/image")
        assert image.qos_profile.reliability.name == reliability.upper()
        assert node.trigger_deactivate() == SUCCESS and node.trigger_cleanup() == SUCCESS


def test_the_sros2_policy_names_all_that_the_node_does(node):
    policy = ElementTree.parse(Path(__file__).parents[2] / "config" / "vo_node.policy.xml")

    def allowed(kind: str, action: str) -> set[str]:
        names = {e.text for group in policy.iter(f"{kind}s") if group.get(action) == "ALLOW" for e in group}
        return {name.replace("~", "/vo_node") for name in names}

    camera = {"/image": "/camera/image_raw", "/camera_info": "/camera/camera_info"}  # as vo.launch.py remaps
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
    subscribed = {camera.get(s.topic_name, s.topic_name) for s in node.subscriptions}
    assert subscribed <= allowed("topic", "subscribe")
    assert {p.topic_name for p in node.publishers} <= allowed("topic", "publish")
    served = {s.service_name for s in node.services}
    assert {"/vo_node/reset", "/vo_node/pause"} <= served <= allowed("service", "reply")
