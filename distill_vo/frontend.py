"""What the networks see of two consecutive canonical frames.

A front end turns two views of (192, 640) pixels into one array (channels, rows, columns), without batch;
`mirrored` is what it would make of the views seen in a mirror. DenseFlow is what ships; StackedFrames is
the paper's own input, for those who train on much real data.
"""

import cv2
import numpy as np

from distill_vo.camera import CANONICAL

CELL = 16  # pixels a side; the flow of one cell is averaged


class DenseFlow:
    """Optical flow from frame k-1 to frame k, averaged over cells of 16x16 pixels.

    Flow keeps what rendered and real streets share (geometry) and drops what they do not (looks),
    which is why a network trained on rendered streets works on real ones.
    Source: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016 (OpenCV's DIS).
    """

    colour = False
    dtype = np.float32
    shape = (2, CANONICAL.height // CELL, CANONICAL.width // CELL)

    def __init__(self):
        self._dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        # DIS cuts the image into one stripe a thread and its result depends on the cuts.
        cv2.setNumThreads(1)

    def __call__(self, previous: np.ndarray, current: np.ndarray) -> np.ndarray:
        """Two (192, 640) grey frames -> (2, 12, 40) float32: u right and v down, canonical pixels."""
        flow = self._dis.calc(previous, current, None)
        columns, rows = self.shape[2], self.shape[1]
        cells = cv2.resize(flow, (columns, rows), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(cells.transpose(2, 0, 1))

    @staticmethod
    def moved_px(x: np.ndarray) -> float:
        """How far things moved in the image: the mean of | u | and | v |, canonical pixels."""
        return float(np.abs(x).mean())

    @staticmethod
    def mirrored(x: np.ndarray) -> np.ndarray:
        """(..., 2, rows, columns) -> the same shape: columns flipped, u negated."""
        flipped = x[..., ::-1].copy()
        flipped[..., 0, :, :] *= -1
        return flipped


class StackedFrames:
    """The two colour frames themselves, one on the other. Source: Wang et al., "DeepVO", ICRA 2017."""

    colour = True
    dtype = np.uint8
    shape = (6, CANONICAL.height, CANONICAL.width)

    def __call__(self, previous: np.ndarray, current: np.ndarray) -> np.ndarray:
        """Two (192, 640, 3) BGR frames -> (6, 192, 640) uint8."""
        return np.concatenate([previous, current], axis=2).transpose(2, 0, 1).copy()

    @staticmethod
    def moved_px(x: np.ndarray) -> float:
        """Not known without matching: every frame counts as moved."""
        return float("inf")

    @staticmethod
    def mirrored(x: np.ndarray) -> np.ndarray:
        """(..., 6, 192, 640) -> the same shape: columns flipped."""
        return x[..., ::-1].copy()


FRONT_ENDS = {"dense_flow": DenseFlow, "stacked_frames": StackedFrames}

# A motion (tx, ty, tz, rx, ry, rz) seen in the same mirror: what points or turns sideways changes sign.
MIRROR_SIGNS = np.array([-1.0, 1.0, 1.0, 1.0, -1.0, -1.0])
