"""Transforms as messages, and the chain between two frames."""

from types import SimpleNamespace

import numpy as np
import pytest
from tf2_msgs.msg import TFMessage

from distill_vo import geometry
from distill_vo.ros import messages
from distill_vo.ros.transforms import TransformListener
from distill_vo.sources.bag_poses import parents


@pytest.fixture
def listener():
    return TransformListener(SimpleNamespace(create_subscription=lambda *_: None))


def random_transform(seed: int) -> np.ndarray:
    return geometry.exp(np.random.default_rng(seed).normal(0, 1, 6))


def say(listener, parent: str, child: str, T: np.ndarray) -> None:
    listener.hear(TFMessage(transforms=[messages.transform_stamped(0, parent, child, T)]))


@pytest.mark.parametrize("seed", range(5))
def test_a_transform_survives_its_message_and_agrees_with_transforms3d(seed):
    quaternions = pytest.importorskip("transforms3d.quaternions", reason="transforms3d is not installed")
    T = random_transform(seed)
    message = messages.transform_stamped(1_700_000_000_123_456_789, "a", "b", T)
    assert np.allclose(parents(TFMessage(transforms=[message]))["b"][1], T, atol=1e-14)
    assert messages.ns_from_time(message.header.stamp) == 1_700_000_000_123_456_789
    q = message.transform.rotation
    assert np.allclose(quaternions.quat2mat([q.w, q.x, q.y, q.z]), T[:3, :3], atol=1e-14)


def test_a_pose_in_a_message_is_the_one_of_the_trajectory_to_the_last_bit():
    T = random_transform(7)
    position, quaternion = messages.position_and_quaternion(messages.pose_stamped(0, "odom", T).pose)
    assert position == T[:3, 3].tolist()
    assert quaternion == geometry.quaternion_from_matrix(T[None, :3, :3])[0].tolist()


def test_frames_are_connected_through_their_common_parent(listener):
    base, mast, camera = (random_transform(k) for k in range(3))
    say(listener, "chassis", "base_link", base)
    say(listener, "chassis", "mast", mast)
    assert listener.lookup("base_link", "camera") is None
    say(listener, "/mast", "/camera", camera)
    expected = geometry.inverse(base) @ mast @ camera
    assert np.allclose(listener.lookup("base_link", "camera"), expected, atol=1e-12)
    assert np.array_equal(listener.lookup("camera", "camera"), np.eye(4))


def test_what_is_no_transform_is_passed_over(listener):
    message = messages.transform_stamped(0, "base_link", "camera", np.eye(4))
    for x, w in ((0.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))):
        message.transform.rotation.x, message.transform.rotation.w = x, w
        listener.hear(TFMessage(transforms=[message]))
    assert listener.lookup("base_link", "camera") is None
    say(listener, "a", "b", random_transform(1))
    say(listener, "b", "a", random_transform(2))  # a ring ends somewhere
    assert listener.lookup("base_link", "a") is None
