"""What of a view can be followed: nothing in the dark, all that flow explains, little of what it does not."""

import cv2
import numpy as np
import pytest

from distill_vo.camera import CANONICAL
from distill_vo.frame import CanonicalView
from distill_vo.frontend import DenseFlow
from distill_vo.visibility import followed, texture

RNG = np.random.default_rng(0)
WORLD = cv2.GaussianBlur(RNG.integers(0, 256, (400, 900), np.uint8), (0, 0), 3)
WORLD = cv2.normalize(WORLD, None, 0, 255, cv2.NORM_MINMAX)
SEE = CanonicalView(CANONICAL)


def look(right: int, down: int = 0) -> np.ndarray:
    return WORLD[100 + down:292 + down, 100 + right:740 + right].copy()


def followed_by_flow(view: np.ndarray) -> float:
    """Share of the view that is followed from the look straight ahead."""
    first, second = SEE(look(0)), SEE(view)
    return followed(first, second, DenseFlow.flow(DenseFlow()(first, second)))


@pytest.mark.parametrize("view", [
    np.zeros((192, 640)), np.full((192, 640), 255), RNG.normal(5, 3, (192, 640)),
    128 + RNG.normal(0, 3, (192, 640)), np.linspace(0, 60, 640) + RNG.normal(0, 3, (192, 640)),
    100 + look(0) / 100], ids=["black", "white", "dark", "grey", "covered", "fog"])
def test_there_is_nothing_to_follow_without_light_or_contrast(view):
    view = np.clip(view, 0, 255).astype(np.uint8)
    assert texture(SEE(view)) < 0.15 and followed_by_flow(view) < 0.15


def test_a_textured_view_is_followed_whatever_its_exposure():
    assert texture(SEE(look(0))) > 0.95
    for current in (look(6, 2), look(6, 2) // 2):
        assert followed_by_flow(current) > 0.8


@pytest.mark.parametrize("current", [look(0)[::-1].copy(), look(150), look(0)[:, ::-1].copy()],
                         ids=["upside down", "too far", "mirrored"])
def test_what_the_flow_cannot_explain_is_not_followed(current):
    assert followed_by_flow(current) < 0.15


def test_what_left_the_view_does_not_count():
    flow = np.zeros((2, 12, 40), np.float32)
    flow[0] = -96.0
    assert followed(SEE(look(0)), SEE(look(96)), flow) > 0.95


def test_without_flow_the_poorer_view_counts():
    assert followed(SEE(look(0)), SEE(np.zeros((192, 640), np.uint8)), None) == 0
    assert followed(*(SEE(np.dstack([look(right)] * 3)) for right in (0, 9)), None) > 0.95
