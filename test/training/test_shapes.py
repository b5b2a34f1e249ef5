"""Teachers and students have the sizes the method gives them."""

import pytest

from distill_vo.errors import InputError
from distill_vo.student import Student
from training import shapes


def test_the_stacked_frames_teacher_has_33_million_parameters():
    assert shapes.parameters(shapes.TEACHERS["stacked_frames"]) == pytest.approx(33e6, rel=0.01)


def test_the_flow_teacher_is_at_least_39_times_the_shipped_student():
    shipped = Student.load("flow-s", "cpu").settings.network
    assert shapes.parameters(shapes.TEACHERS["dense_flow"]) >= 39 * shapes.parameters(shipped)


@pytest.mark.parametrize("front_end", shapes.TEACHERS)
@pytest.mark.parametrize("rate", shapes.RATES)
def test_a_student_does_without_the_share_its_rate_says(front_end, rate):
    teacher = shapes.TEACHERS[front_end]
    student = shapes.student(teacher, rate)
    assert 1 - shapes.parameters(student) / shapes.parameters(teacher) == pytest.approx(rate, abs=0.002)
    assert student.lstm_layers == 0 and len(student.convolutions) < len(teacher.convolutions)
    assert student.hint_layer == (2 if rate < 0.75 else 3)
    guided, hint = (s.fully_connected[s.hint_layer - 1] for s in (student, teacher))
    assert guided == hint


def test_a_rate_that_leaves_nothing_is_refused():
    with pytest.raises(InputError, match=r"rate 1\.2"):
        shapes.student(shapes.TEACHERS["dense_flow"], 1.2)
