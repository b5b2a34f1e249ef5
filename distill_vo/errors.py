"""The one error a user can mend: its message is a sentence saying what, where and what to do."""


class InputError(ValueError):
    """What was given (a file, a setting, a message) cannot be used.

    Command lines print it as `error: <sentence>` and exit with code 2.
    """


def first_line(error: Exception) -> str:
    """What an exception says, without the lines that only a debugger wants."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
