"""The one error a user can mend: its message is a sentence saying what, where and what to do."""


class InputError(ValueError):
    """What was given (a file, a setting, a message) cannot be used.

    Command lines print it as `error: <sentence>` and exit with code 2.
    """
