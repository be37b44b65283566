"""A reader of the pages: what they read in the blocks, and a terminal in which they type it."""

import os
import re
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import isclose
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# A measured number, which differs between processors; one without a point is a count.
NUMBER = re.compile(r"\d+\.\d+")


@dataclass(frozen=True)
class Block:
    """A block of code of a page; `language` is empty for one without."""

    language: str
    text: str

    @property
    def commands(self) -> Iterator[str]:
        """Each without its comment; one may go on in the next line, by a backslash or a quote."""
        command = ""
        for line in self.text.splitlines():
            command = without_comment(command + line)
            if command.endswith("\\"):
                command = command.removesuffix("\\")
            elif command.count("'") % 2:
                command += "\n"
            elif command:
                yield command
                command = ""

    @property
    def session(self) -> tuple[str, str] | None:
        """The command that a block shows after a `$`, and what it claims that is printed."""
        command, _, output = self.text.partition("\n")
        return (command[2:], output) if command.startswith("$ ") else None


def blocks(page: Path) -> Iterator[Block]:
    for language, text in FENCE.findall(page.read_text()):
        yield Block(language, text)


def without_comment(line: str) -> str:
    return re.sub(r"(^|\s+)# .*", "", line).strip()


def is_printed(claimed: str, printed: str) -> bool:
    """Each claimed line is printed: counts as they are, measured numbers to within 2 %."""
    return all(_is_there(line, printed) for line in claimed.splitlines())


def _is_there(line: str, printed: str) -> bool:
    claimed = list(map(float, NUMBER.findall(line)))
    pattern = f"({NUMBER.pattern})".join(map(re.escape, NUMBER.split(line)))
    found = (map(float, match.groups()) for match in re.finditer(pattern, printed))
    return any(
        all(isclose(a, b, rel_tol=0.02) for a, b in zip(claimed, numbers, strict=True))
        for numbers in found
    )


class Terminal:
    """Each line runs in the folder, and with the variables, that the last one left."""

    def __init__(self, folder: Path, environment: dict[str, str], memory: Path) -> None:
        self.memory = memory
        self.environment = environment
        self.servers: list[subprocess.Popen[str]] = []
        memory.write_text(f"cd {shlex.quote(str(folder))}\n")

    @property
    def folder(self) -> Path:
        return Path(self.type("pwd").strip())

    def type(self, line: str, timeout: float = 1200) -> str:
        """What it prints on both streams. Raises AssertionError if it fails or does not end."""
        process = self._start(
            f"{line}\ncode=$?\n"
            f'{{ export -p; echo "cd $(printf %q "$PWD")"; }} >{self.memory}\nexit $code'
        )
        try:
            printed, _ = process.communicate("y\n" * 9, timeout)  # to whatever asks
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
            raise AssertionError(f"$ {line}\n{printed}\n(ran for {timeout:.0f} s)") from None
        assert process.returncode == 0, f"$ {line}\n{printed}\n(exit code {process.returncode})"
        return printed

    def serve(self, line: str, port: int) -> None:
        """Leave it running until the end of the page, from when its port answers."""
        process = self._start(f"exec {line}")
        self.servers.append(process)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f"$ {line}\n{process.communicate()[0]}\n(port {port} does not answer)")

    def close(self) -> None:
        for process in self.servers:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=60)

    def _start(self, script: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["bash", "-c", f". {self.memory}\n{script}"],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
