"""The one exception that means: the user can put this right."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in what was given: parameters, data, files or the machine asked for.

    Its message says what is wrong, where, and what to do about it. The command
    line prints it without a traceback; every other exception is a defect of ours
    and keeps its traceback.
    """


def choose_from(name: str, known: Iterable[str]) -> str:
    """For the end of a message about an unknown name: the nearest known one, or all of them."""
    known = list(known)
    if near := difflib.get_close_matches(name, known, n=1):
        return f"did you mean {near[0]}?"
    return f"there are {', '.join(known)}"
