"""How the programs end when they are told to, at some moments; `python -m training signals` takes many."""

import signal

import pytest

from training.programs import NODE, REPLAY
from training.signals import SUMMARIES, end_by


@pytest.mark.parametrize("program, number, after_s", [
    (NODE, signal.SIGINT, 0.5), (NODE, signal.SIGTERM, 4.0),
    (REPLAY, signal.SIGTERM, 0.5), (REPLAY, signal.SIGINT, 2.0)])
def test_a_signal_ends_a_program_with_a_summary(domain, model, bag, tmp_path, program, number, after_s):
    arguments = {NODE: ["--ros-args", "-p", f"model:={model}"],
                 REPLAY: [str(bag), "--ros-args", "-p", "loop:=true", "-p", f"out:={tmp_path / 'out'}"]}
    end = end_by(number, after_s, tmp_path / "log", program, *arguments[program])
    assert end.code == 0 and any(summary in end.said for summary in SUMMARIES), end
