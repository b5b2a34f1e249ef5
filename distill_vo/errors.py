"""The one error a user can mend, and how a command line ends by it: an exit code, and one sentence."""

import errno
import os
import sys
from collections.abc import Callable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNREAD = 141  # the exit code shells expect of a program whose output nobody reads to its end


class InputError(ValueError):
    """What was given (a file, a setting, a message) cannot be used.

    Its message is a sentence saying what, where and what to do; command lines print it as
    `error: <sentence>` and exit with code 2.
    """


def first_line(error: Exception) -> str:
    """What an exception says, without the lines that only a debugger wants."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def sentence(error: InputError | OSError) -> str:
    """What a user is told, in one line."""
    text = str(error)
    if isinstance(error, OSError):
        remedy = ("make room or take another place, then run the same command again" if error.errno in FULL
                  else "check the path and its permissions")
        text = f"{error.filename or 'reading or writing'}: {error.strerror or error}; {remedy}."
    return " ".join(text.split())


def exit_code(program: Callable[[], int | None]) -> int:
    """Run a program and give its exit code: its own, or 2 with one sentence on stderr where it cannot go on.

    Where nobody reads its output any more it ends quietly.
    """
    try:
        try:
            return program() or 0
        finally:
            _flush_stdout()
    except BrokenPipeError:
        return UNREAD
    except (InputError, OSError) as error:
        print(f"error: {sentence(error)}", file=sys.stderr)
        return 2


def _flush_stdout() -> None:
    """Now, where what goes wrong can still be told. Raises OSError."""
    try:
        sys.stdout.flush()
    except OSError:
        # Python flushes what is left once more when it ends, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
