"""Every command of the README and the pages, in order, in fresh clones, where the page says.

What a block claims to print is compared. What is not run stands in ELSEWHERE, with the test that
has it or with the reason.
"""

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

import pytest
from ruamel.yaml import YAML

from alexnet import config
from ci.prose import pages
from tests.conftest import ROOT
from tests.docs.reader import READY, Reader
from tests.docs.walk import Block, Terminal, blocks, is_printed
from tour.__main__ import PAGES as TOUR

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not READY.exists(), reason="needs the environment of `make venv`"),
]
# The tour and the page on extensions have tests of their own, which run all that is in them.
PAGES = [page for page in pages() if page not in {*TOUR, ROOT / "docs/extending.md"}]
IN_CONTAINERS = "tests/test_container.py"
ELSEWHERE = {
    r"make (test|test-slow|test-containers|bench|tour)": "takes long; CI runs the tests",
    r"make own IMAGES=\S+ START=imagenet": "tests/stages/test_finetuning.py",
    r"make live RUN=.demo|alexnet live --open": "tests/live/test_live.py",
    r"python -m stages.preset fast": "tests/stages/test_preset.py",
    r"make (image|lock-cpu|repro-container).*|podman run .*": IN_CONTAINERS,
    r"export STAGE_RUNTIME=podman": IN_CONTAINERS,
    r"dvc remote add --default store s3://.*": "tests/ci/test_rehearsal.py",
    r"dvc remote add --default store ssh://.*": "tests/ci/test_ssh.py",
    r"python -m (ci.pull|ci.environment|ci.stop|ci.push|ci.compare .*|ci.summary .*)": (
        "tests/ci/test_rehearsal.py"
    ),
    r"dvc repro --pull --keep-going": "tests/ci/test_rehearsal.py",
    r"model_signing sign sigstore .*": "tests/inference/test_signature.py",
    r"alexnet verify .* --identity[ -].*": "tests/inference/test_signature.py",
    r"python -m bench.device .*": "tests/bench/test_device.py",
    r"python -m tests.chaos.*": "takes an hour, and is a test itself",
    r"torchrun --nnodes=2 .*": "tests/stages/test_two_nodes.py",
    r"sbatch .*": "tests/deploy/test_slurm.py",
    r"(?s)gh .*|deploy/ec2/start.sh .*": "needs an account of GitHub; tests/deploy/test_runners.py",
    r"pip install 'skypilot.*|sky .*|aws .*": "needs an account; tests/deploy/test_runners.py",
}
DOWNLOADS = {
    ("docs/finetuning", "dvc repro"): "ImageNet's weights; tests/stages/test_finetuning.py"
}
PROGRAMS = {"make live": "npm", "npm ci": "npm"}
PORTS = {"python -m http.server --bind 127.0.0.1": 8000, "alexnet serve artifacts": 8080}
# What the text says of a command: what it then prints, or the file that is there.
SAYS = [
    ("README", "to 98.89 % of 359 test images", "make demo", "accuracy 98.89% on 359 test images"),
    # Two runs were there before.
    ("docs/pipeline", "queues six runs", "alexnet sweep", "sweep.html: 8 experiments"),
    ("docs/report", "`reports/compare.html`", "alexnet report --compare", "reports/compare.html"),
    ("docs/network", "| 58,322,314 |", "alexnet summary", "58,322,314"),
    ("docs/data", "`.own/artifacts`", "make own", ".own/artifacts/manifest.json"),
]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).with_suffix("").as_posix()


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Reader:
    return Reader(tmp_path_factory.mktemp("reader"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_commands_of_a_page(page, reader):
    if not any(map(_asks_something, blocks(page))):
        pytest.skip("no command")
    terminal = reader.begin(page)
    visit = Visit(page, reader, terminal)
    try:
        for block in blocks(page):
            visit.follow(block)
    finally:
        terminal.close()
    for name, sentence, start, evidence in SAYS:
        if name == name_of(page):
            assert sentence in page.read_text()
            assert visit.shows(start, evidence), (start, evidence)
    if visit.missing:
        pytest.skip(f"all but what needs {', '.join(visit.missing)}")


def test_each_command_that_is_not_run_is_there_and_has_a_test():
    commands = {c for page in PAGES for block in blocks(page) for c in _commands(block)}
    for pattern, where in ELSEWHERE.items():
        assert any(re.fullmatch(pattern, command) for command in commands), pattern
        assert all((ROOT / name).exists() for name in re.findall(r"tests/\S+\.py", where))
    assert commands >= {*PORTS, *(command for _, command in DOWNLOADS)}


class Visit:
    """One page, from top to bottom."""

    def __init__(self, page: Path, reader: Reader, terminal: Terminal) -> None:
        self.page, self.reader, self.terminal = page, reader, terminal
        self.printed: list[tuple[str, str]] = []  # each command, and what it has printed
        self.missing: set[str] = set()  # programs that this machine does not have

    def follow(self, block: Block) -> None:
        if block.session:
            command, claimed = block.session
            printed = self.terminal.type(command)
            assert is_printed(claimed, printed), f"{claimed}\nis not in\n{printed}"
        for command in _commands(block):
            self.type(command)
        if block.language == "yaml":
            self.edit(block.text)
        elif block.language == "json":
            answer = self.printed[0][1].splitlines()[-1]
            assert _keys(json.loads(answer)) == _keys(json.loads(block.text))
        elif block.language == "python" and "OrasClient" not in block.text:
            script = self.reader.folder / "block.py"
            script.write_text(block.text)
            self.terminal.type(f"python {script}")

    def type(self, command: str) -> None:
        program = next((PROGRAMS[start] for start in PROGRAMS if command.startswith(start)), "")
        if _is_elsewhere(command) or (name_of(self.page), command) in DOWNLOADS:
            return
        if program and not shutil.which(program):
            self.missing.add(program)
        elif command in PORTS:
            self.terminal.serve(command, PORTS[command])
            self.open_addresses(command)
        else:
            before = self.reader.opened
            printed = self.terminal.type(self.reader.translate(command))
            self.printed.append((command, printed))
            if "--open" in command:
                (address,) = self.reader.opened[len(before) :]
                assert Path(unquote(urlsplit(address).path)).is_file(), address
            if command.startswith("git clone"):
                self.reader.adopt(self.terminal.folder)
                self.terminal.type('export PYTHONPATH="$PWD"')
            if command == "dvc queue start":
                self.wait_for_the_queue()

    def edit(self, text: str) -> None:
        """Write the values of a block into params.yaml, which has to be valid then."""
        params = self.terminal.folder / "params.yaml"
        yaml = YAML()
        values = yaml.load(params)
        for section, changes in yaml.load(self.reader.translate(text)).items():
            values[section].update(changes)
        yaml.dump(values, params)
        config.load(params)

    def open_addresses(self, command: str) -> None:
        """What the page says is then open in a browser."""
        said = re.findall(rf"^{re.escape(command)} .*?(http://\S+)", self.page.read_text(), re.M)
        for address in said:
            assert urlopen(address).status == 200

    def wait_for_the_queue(self) -> None:
        while re.search(r"Queued|Running", status := self.terminal.type("dvc queue status")):
            time.sleep(5)
        assert "Failed" not in status

    def shows(self, start: str, evidence: str) -> bool:
        printed = "\n".join(text for command, text in self.printed if command.startswith(start))
        if (self.terminal.folder / evidence).exists():
            return True
        return is_printed(evidence, printed)


def _commands(block: Block) -> Iterator[str]:
    return block.commands if block.language == "bash" else iter(())


def _asks_something(block: Block) -> bool:
    return (
        bool(block.session)
        or block.language == "python"
        or not all(map(_is_elsewhere, _commands(block)))
    )


def _is_elsewhere(command: str) -> bool:
    return any(re.fullmatch(pattern, command) for pattern in ELSEWHERE)


def _keys(value: object) -> object:
    """JSON without its values; of a list, what its first item has."""
    if isinstance(value, dict):
        return {key: _keys(inner) for key, inner in value.items()}
    return [_keys(value[0])] if isinstance(value, list) else None
