"""What the workshop's command line takes."""

import pytest

from training.__main__ import main


@pytest.mark.parametrize("verb, option", [
    ("rehearse", "--sequences"), ("rehearse", "--frames"), ("rehearse", "--jobs"), ("prepare", "--jobs"),
    ("nees", "--drives"), ("nees", "--jobs"), ("ablate", "--seeds"), ("ablate", "--jobs"),
    ("scaling", "--sizes"), ("signals", "--runs"), ("speed", "--frames")])
@pytest.mark.parametrize("value", ["0", "-1", "1.5"])
def test_numbers_of_what_there_must_be_one_of_are_positive_and_whole(capsys, verb, option, value):
    with pytest.raises(SystemExit) as end:
        main([verb, f"{option}={value}"])
    assert end.value.code == 2
    assert f"argument {option}: invalid whole number of 1 or more value: '{value}'" in capsys.readouterr().err
