"""The frame of every command: logging, and errors as messages with an exit code."""

import errno
import logging
import signal
import sys
from collections.abc import Callable
from typing import Any

import typer

from alexnet.errors import UserError
from alexnet.escape import message_for_terminal
from alexnet.signals import TrainingInterrupted


def run(command: Callable[..., Any]) -> None:
    """Run a single command, as `python -m stages.<name>` does."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    run_app(app)


def run_app(app: typer.Typer) -> None:
    """Run an app; a user's mistake ends in its message and exit code 1."""
    configure_logging()
    try:
        app()
    except UserError as error:
        fail(str(error))
    except OSError as error:  # a full disk, a missing permission: it names the file
        if error.errno == errno.EROFS:
            fail(f"{error}; mount the project for writing, or work in a copy of it")
        fail(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in {"alexnet", "stages"}:
            raise
        fail(
            f"this command needs {error.name}, which the base installation leaves out; "
            "install the package with its extra: pip install '.[train]'"
        )
    except TrainingInterrupted as stopped:
        name = signal.Signals(stopped.signum).name
        fail(f"stopped by {name} {stopped}; run it again to resume", 128 + stopped.signum)
    except KeyboardInterrupt:
        fail("interrupted", code=130)


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


def fail(message: str, code: int = 1) -> None:
    print(f"error: {message_for_terminal(message)}", file=sys.stderr)
    sys.exit(code)
