"""Calibration finds the processes that errors were made of."""

import numpy as np

from training.calibrate import LENGTHS, error_model


def test_processes_that_errors_were_drawn_from_are_found():
    rng = np.random.default_rng(0)
    true = np.array([[0.5] * 6, [0.3] * 6, [0.0] * 6, [0.4] * 6])
    kept = np.exp(-1 / np.maximum(LENGTHS, 1e-9))[:, None, None]
    values = rng.normal(size=(4, 400, 6)) * np.sqrt(true)[:, None]
    drives = []
    for _ in range(350):
        drives.append(values.sum(axis=0))
        values = kept * values + rng.normal(size=values.shape) * np.sqrt(true[:, None] * (1 - kept**2))
    model = error_model(list(np.swapaxes(drives, 0, 1)))
    np.testing.assert_allclose(model.variances, true, atol=0.1)


def test_few_motions_on_which_everything_fails_do_not_blur_all_others():
    errors = np.random.default_rng(0).normal(size=(20, 400, 6))
    errors[3, 100] = 1e3
    assert np.all(error_model(list(errors)).total < 1.3)
