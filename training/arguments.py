"""Types of arguments: argparse refuses what is none in one sentence with exit code 2."""


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


positive.__name__ = "whole number of 1 or more"  # what argparse calls it
