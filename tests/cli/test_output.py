"""Output that cannot be printed changes nothing that a command does, nor its exit code."""

import errno
import os
import pty
import subprocess
import sys

import pytest

from tests.conftest import ROOT

# Prints as the stages do: log, warnings, a bar, a child; and goes on to its end.
STAGE = """
import logging, os, sys, warnings
from pathlib import Path
from alexnet.cli.app import run
from alexnet.errors import UserError
from alexnet.progress import progress

def stage(error: bool = False) -> None:
    logger = logging.getLogger("alexnet.test")
    logger.info("first")
    sys.stdin.readline()
    with progress("work", 3) as advance:
        for step in range(3):
            logger.info("step \\u00b5 " + 100_000 * "x")
            logger.warning("step")
            warnings.warn("a warning")
            os.system("echo a child; echo and its error >&2")
            advance(1)
    print("not flushed")
    Path("done").touch()
    if error:
        raise UserError("a mistake")

run(stage)
"""
# A product of two lines: one is printed before the reader leaves.
PRODUCT = """
import sys, typer
from alexnet.cli.app import run_app
app = typer.Typer()

@app.command()
def product() -> None:
    print("first", flush=True)
    sys.stdin.readline()
    print("second")

run_app(app, is_product=True)
"""


def start(script: str, *arguments: str, folder, **streams) -> subprocess.Popen:
    command = [sys.executable, *streams.pop("options", ()), "-c", script, *arguments]
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": streams.pop("encoding", "")}
    return subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.PIPE, **streams)


def read_line(reader: int) -> bytes:
    """Without its end, which may come as a write of its own."""
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(reader, 1)
    return line.rstrip()


def after_the_first_line(process: subprocess.Popen, reader, close) -> int:
    """Its exit code, where its reader leaves after the first line."""
    assert read_line(reader) == b"first"
    close(reader)
    process.communicate(b"\n", timeout=60)
    return process.returncode


def ends_of(kind: str) -> tuple[int, int]:
    """(the reader's, the writer's) of a pipe or a terminal."""
    return pty.openpty() if kind == "terminal" else os.pipe()


@pytest.mark.parametrize(
    ("kind", "options", "arguments", "code"),
    [("pipe", (), (), 0), ("terminal", ("-u",), (), 0), ("terminal", (), ("--error",), 1)],
)
def test_a_stage_goes_on_when_its_reader_has_left(kind, options, arguments, code, tmp_path):
    reader, writer = ends_of(kind)
    process = start(
        STAGE, *arguments, folder=tmp_path, stdout=writer, stderr=writer, options=options
    )
    os.close(writer)
    assert after_the_first_line(process, reader, os.close) == code
    assert (tmp_path / "done").exists()


def test_a_stage_goes_on_when_the_disk_of_its_log_is_full(tmp_path):
    with open("/dev/full", "w") as full:
        process = start(STAGE, folder=tmp_path, stdout=full, stderr=full)
        process.communicate(b"\n", timeout=60)
    assert process.returncode == 0
    assert (tmp_path / "done").exists()


def test_a_closed_stdout_and_a_character_that_it_does_not_know_are_no_error(tmp_path):
    closed = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, "-c", STAGE]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run(closed, cwd=tmp_path, env=env, input=b"\n").returncode == 0
    process = start(STAGE, folder=tmp_path, stdout=subprocess.PIPE, encoding="ascii")
    output, _ = process.communicate(b"\n", timeout=60)
    assert process.returncode == 0
    assert output.count(b"step \\xb5 xxx") == 3


def test_the_reader_of_a_product_leaves_it_as_it_leaves_any_program(tmp_path):
    reader, writer = os.pipe()
    process = start(PRODUCT, folder=tmp_path, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert read_line(reader) == b"first"
    os.close(reader)
    _, errors = process.communicate(b"\n", timeout=60)
    yes = subprocess.run(["bash", "-c", "yes | head -1; exit ${PIPESTATUS[0]}"], stdout=-3)
    assert 128 - process.returncode == yes.returncode == 141
    assert errors == b""


def test_a_product_on_a_full_disk_is_an_error(tmp_path):
    with open("/dev/full", "w") as full:
        process = start(PRODUCT, folder=tmp_path, stdout=full, stderr=subprocess.PIPE)
        _, errors = process.communicate(b"\n", timeout=60)
    assert process.returncode == 1
    reason = os.strerror(errno.ENOSPC)
    assert errors.decode() == f"error: the output could not be written: {reason}\n"
