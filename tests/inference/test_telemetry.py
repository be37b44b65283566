"""onnxruntime's telemetry is off in whatever this project starts.

With it on, onnxruntime 1.32 writes an identity of the device to the user's cache when it is
imported, and asks for its maker's address after five to ten seconds.
"""

import ast
import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT

# Says of each import of onnxruntime what it would find.
WATCH = """
import os, sys
def watch(event, arguments):
    if event == "import" and arguments[0] == "onnxruntime":
        print(os.environ.get("ORT_DISABLE_TELEMETRY"))
sys.addaudithook(watch)
"""


def start(home, *arguments, **options):
    """Python with no environment but a home that is empty, and the place of this checkout."""
    home.mkdir()
    environment = {"HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment | options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.mark.parametrize(
    "module",
    [
        *("alexnet.inference", "alexnet.inference.session"),
        pytest.param("alexnet.export.quantisation", marks=pytest.mark.slow),
    ],
)
def test_it_is_off_before_onnxruntime_is_imported(tmp_path, module):
    with start(tmp_path / "home", "-c", f"{WATCH}import {module}") as process:
        assert process.stdout.read().decode().split() == ["1"]


@pytest.mark.parametrize("tool", ["predict", "verify"])
def test_a_tool_writes_no_identity_of_the_device(artifact, tmp_path, tool):
    arguments = [artifact, artifact / "samples/00.png"][: 2 if tool == "predict" else 1]
    home = tmp_path / "home"
    with start(home, "-m", "alexnet.cli.main", tool, *arguments) as process:
        output = process.stdout.read().decode()
    assert process.returncode == 0, output
    assert not list(home.iterdir())


# From here on the kernel ends this process if it asks for a socket (seccomp(2), bpf(4)).
NO_SOCKETS = """
import ctypes, os, struct
number = {"x86_64": 41, "aarch64": 198}[os.uname().machine]
load, is_equal, answer, allow, kill = 0x20, 0x15, 0x06, 0x7FFF0000, 0x80000000
steps = [(load, 0, 0, 0), (is_equal, 0, 1, number), (answer, 0, 0, kill), (answer, 0, 0, allow)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
program = Program(len(steps), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0, ctypes.get_errno()  # PR_SET_SECCOMP
"""


@pytest.mark.slow
def test_a_program_that_goes_on_opens_no_socket(artifact, tmp_path):
    program = NO_SOCKETS + (
        "import sys, time; from alexnet.inference import Predictor\n"
        "Predictor(sys.argv[1]).classify(sys.argv[1] + '/samples/00.png'); time.sleep(15)"
    )
    with start(tmp_path / "home", "-c", program, artifact) as process:
        output = process.stdout.read().decode()
    assert process.returncode == 0, output
    with start(tmp_path / "other", "-c", NO_SOCKETS + "import socket; socket.socket()") as process:
        pass
    assert process.returncode == -signal.SIGSYS, "the filter works"


def test_one_module_alone_starts_a_session():
    """Its import is that of `alexnet`, which turns telemetry off; tests have it from conftest."""
    listed = subprocess.run(
        ["git", "ls-files", "--", "*.py", ":!tests"], cwd=ROOT, capture_output=True, text=True
    )
    starting = {
        name
        for name in listed.stdout.splitlines()
        for node in ast.walk(ast.parse((ROOT / name).read_text()))
        if "InferenceSession" in (getattr(node, "attr", ""), getattr(node, "id", ""))
    }
    assert starting == {"alexnet/inference/session.py"}
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
