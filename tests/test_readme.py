"""The commands in the README and its pages exist, and so do their links.

tests/docs/test_commands.py runs the commands.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from alexnet.network.model import VARIANTS
from alexnet.network.summary import summarize, totals
from ci.prose import pages
from stages.runtime.resolve import RUNTIMES
from tests.conftest import ROOT, STAGES
from tests.docs.walk import blocks
from tour.__main__ import PAGES as TOUR

README = ROOT / "README.md"
DOCS = ROOT / "docs"
# The tour and the page on extensions have tests of their own, which run all that is in them.
TESTED = {*TOUR, DOCS / "extending.md"}
PAGES = pages()
BLOCKS = [
    block
    for page in PAGES
    if page not in TESTED
    for block in blocks(page)
    if block.language == "bash"
]
LINES = [shlex.split(command) for block in BLOCKS for command in block.commands]


def commands(*programs: str) -> list[list[str]]:
    """Each command line once."""
    return [list(line) for line in dict.fromkeys(map(tuple, LINES)) if line and line[0] in programs]


@pytest.mark.parametrize("target", sorted({line[1] for line in commands("make")}))
def test_make_targets_exist(target):
    assert re.search(rf"^{target}: .*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", commands("alexnet"), ids=" ".join)
def test_alexnet_commands_run(run, line):
    """Those of a receiver up to the artifact, or its signature, which are missing here."""
    arguments = line[1 : line.index(">")] if ">" in line else line[1:]
    if arguments[0] in ("report", "sweep", "live"):
        return  # they need a run; tests/report, tests/cli and tests/live have them
    result = run(*arguments)
    is_signed = any(argument in ("--key", "--identity") for argument in arguments)
    missing = {
        "verify": "does not exist" if is_signed else "artifacts is not a folder",
        "predict": "does not exist",
        "serve": "does not exist" if is_signed else "artifacts is not a folder",
    }.get(arguments[0], "")
    assert result.returncode == bool(missing), result.stderr
    assert missing in result.stderr


def test_the_exported_runtime_is_one():
    ((_, assignment),) = commands("export")
    name, value = assignment.split("=")
    assert name == "STAGE_RUNTIME"
    assert value in RUNTIMES


def test_the_serving_image_is_a_target_of_the_dockerfile():
    for words in commands("podman"):
        (image,) = [word for word in words if word.startswith("localhost/")]
        target = image.removeprefix("localhost/alexnet-")
        assert target == "serve"
        assert f"AS {target}\n" in (ROOT / "Dockerfile").read_text()
    assert "TARGETS ?= serve train\n" in (ROOT / "Makefile").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("line", commands("python"), ids=" ".join)
def test_modules_have_these_options(line):
    assert line[1] == "-m"
    command = [sys.executable, *line[1:3], "--help"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(word in text for word in line[3:] if word.startswith("--"))


def test_the_steps_of_retraining_are_those_of_the_workflow():
    workflow = (ROOT / ".github/workflows/train.yml").read_text().replace("$PULL", "--pull")
    (block,) = [block for block in BLOCKS if "ci.pull" in block.text]
    places = [workflow.index(" ".join(line.split()[:3])) for line in block.commands]
    assert places == sorted(places)


def anchors(page: Path) -> set[str]:
    """The places of a page, as GitHub names them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_exist(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", page.read_text()):
        if not target.startswith("https://"):
            file = page.parent / target if target else page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


def test_the_table_of_stages_is_complete():
    rows = re.findall(r"^\| (\w+) \| `", (DOCS / "pipeline.md").read_text(), re.MULTILINE)
    assert rows == list(STAGES)


def test_the_readme_is_short_and_links_every_page():
    text = README.read_text()
    assert len(text.splitlines()) <= 130
    for page in PAGES[1:]:
        assert f"({page.relative_to(ROOT)})" in text, page


@pytest.mark.parametrize("name", VARIANTS)
def test_the_table_of_variants_is_right(name):
    variant = VARIANTS[name]
    with torch.device("meta"):
        sums = totals(summarize(variant()))
    size = f"{variant.image_size}x{variant.image_size}"
    row = f"| `{name}` | {size} | {sums['parameters']:,} | {sums['macs']:,} |"
    assert row in (DOCS / "network.md").read_text()


@pytest.mark.parametrize("file", ["README.md", "docs/network.md", "CITATION.cff"])
def test_each_paper_has_its_own_link(file):
    text = (ROOT / file).read_text()
    assert "papers.nips.cc/paper/4824-" in text
    assert "arxiv.org/abs/1404.5997" in text
    assert not re.search(r"ImageNet Classification[^\]]*\]\([^)]*1404", text)
