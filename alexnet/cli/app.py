"""The frame of every command: logging, and errors as messages with an exit code."""

import errno
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from alexnet.cli.output import end_of_output, guard_output
from alexnet.errors import UserError
from alexnet.escape import message_for_terminal
from alexnet.signals import (
    StoppedBySignal,
    TrainingInterrupted,
    reports_stop,
    stopped_by_signals,
)

logger = logging.getLogger(__name__)


def run(command: Callable[..., Any], when_stopped: str = "", epilog: str | None = None) -> None:
    """Run a single command, as `python -m stages.<name>` does.

    when_stopped: where it is when a signal stops it that it does not handle itself. epilog: what
    its help ends with.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(epilog=epilog)(command)
    run_app(app, when_stopped=when_stopped)


def run_app(app: typer.Typer, is_product: bool = False, when_stopped: str = "") -> None:
    """Run an app; a user's mistake ends in its message and exit code 1.

    is_product: its stdout is its product, so that one that cannot be written is an error. The
    output of other commands is a log, which decides nothing.
    """
    guard_output(is_product)
    configure_logging()
    ignore_relative_folders()
    try:
        with stopped_by_signals():
            _call(app)
            if is_product:
                end_of_output()
    except UserError as error:
        fail(str(error))
    except OSError as error:  # a full disk, a missing permission: it names the file
        if error.errno == errno.EROFS:
            fail(f"{error}; mount the project for writing, or work in a copy of it")
        if error.errno == errno.EACCES:
            fail(f"{error}; let user {os.getuid()} use it (chmod), or run as its owner")
        fail(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in {"alexnet", "stages"}:
            raise
        fail(
            f"this command needs {error.name}, which the base installation leaves out; "
            "install the package with its extra: pip install '.[train]'"
        )
    except TrainingInterrupted as stopped:
        _end_by_signal(stopped.signum, str(stopped))
    except StoppedBySignal as stopped:
        _end_by_signal(stopped.signum, when_stopped)


def _end_by_signal(signum: int, where: str) -> NoReturn:
    if reports_stop():
        name = signal.Signals(signum).name
        fail(f"stopped by {name} {where}".rstrip(), 128 + signum)
    sys.exit(128 + signum)


def ignore_relative_folders() -> None:
    """Unset what names the user's folders by a relative path, as the XDG specification wants it.

    Our checkpoints, matplotlib's fonts and Triton's kernels would otherwise be written to the
    current directory, or to `/.cache` with an empty HOME.
    """
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        value = os.environ.get(name)
        if value is not None and not value.startswith("/"):
            del os.environ[name]
            if value or name == "HOME":  # an empty one is the same as none
                logger.warning(f"{name}={value} is no absolute path, and is ignored")


def _call(app: typer.Typer) -> None:
    try:
        app()
    except SystemExit as done:  # Typer ends every command with it
        if done.code:
            raise


class TerminalHandler(logging.Handler):
    """INFO goes to stdout as the bare message; warnings and above go to stderr with their level.

    The streams are looked up for each record: a progress bar may have replaced them.
    """

    def emit(self, record: logging.LogRecord) -> None:
        message = message_for_terminal(record.getMessage())
        if record.levelno < logging.WARNING:
            print(message, flush=True)
        else:
            print(f"{record.levelname.lower()}: {message}", file=sys.stderr, flush=True)


def configure_logging() -> None:
    """Show the messages of `alexnet` and `stages` on the terminal. Repeated calls are harmless."""
    for name in ("alexnet", "stages"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        if not any(isinstance(handler, TerminalHandler) for handler in logger.handlers):
            logger.addHandler(TerminalHandler())


def fail(message: str, code: int = 1) -> NoReturn:
    print(f"error: {message_for_terminal(message)}", file=sys.stderr)
    sys.exit(code)
