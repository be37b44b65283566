"""The one exception that means: the user can put this right."""


class UserError(ValueError):
    """A mistake in what was given: parameters, data, files or the machine asked for.

    Its message says what is wrong, where, and what to do about it. The command
    line prints it without a traceback; every other exception is a defect of ours
    and keeps its traceback.
    """
