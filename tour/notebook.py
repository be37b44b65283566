"""The pages of the tour as one notebook: the same text and code, with the answers folded.

The notebook has no text of its own but the cells that find or fetch the project.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode, v4

from tour import literate

TRY_IT = "# Try it here."
SETUP_TITLE = """\
## Setup, for Colab

Run the next cell first. In a checkout of the project it only finds the project. In Colab it fetches
it: write the address of its repository into the line that begins with `REPOSITORY`."""
SETUP = """\
import subprocess
import sys
from pathlib import Path

REPOSITORY = "https://github.com/OWNER/alexnet"

folders = [Path.cwd(), *Path.cwd().parents, Path.cwd() / "alexnet-tour"]
root = next((folder for folder in folders if (folder / "alexnet/network").is_dir()), None)
if root is None:  # Colab has all that the tour imports: PyTorch, scikit-learn, matplotlib, Pillow
    root = folders[-1]
    subprocess.run(["git", "clone", "--quiet", "--depth=1", REPOSITORY, root], check=True)
sys.path.insert(0, str(root))
"""


def build(pages: Sequence[str]) -> NotebookNode:
    """The notebook of the pages, without outputs. The numbers in sentences are the pages' own."""
    cells: list[NotebookNode] = []
    for page in pages:
        cells += _cells(page)
    title, section = cells[0].source.split("\n\n## ", 1)
    cells[:1] = [
        v4.new_markdown_cell(title),
        v4.new_markdown_cell(SETUP_TITLE),
        v4.new_code_cell(SETUP.rstrip()),
        v4.new_markdown_cell(f"## {section}"),
    ]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # by default a random one
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "colab": {"provenance": [], "toc_visible": True},
    }
    return v4.new_notebook(cells=cells, metadata=metadata)


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run all cells in a new kernel, whose working directory is `folder`; stores the outputs."""
    from nbclient import NotebookClient

    with tempfile.TemporaryDirectory() as settings, _environment(settings):
        client = NotebookClient(
            notebook,
            timeout=600,
            resources={"metadata": {"path": str(folder)}},
            record_timing=False,
            coalesce_streams=True,
        )
        kernel: Any = client.create_kernel_manager()
        kernel.transport = "ipc"  # no port of the machine, which others can reach
        kernel.ip = f"{settings}/socket"
        client.execute()
    notebook.metadata["language_info"] = {"name": "python"}  # the kernel adds its version
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            # The picture is enough; its text is an address in memory, or its size in pixels.
            if "image/png" in output.get("data", {}):
                output["data"] = {"image/png": output["data"]["image/png"].replace("\n", "")}
                output["metadata"] = {}


def text_of(notebook: NotebookNode) -> str:
    """The notebook's file."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def sources(notebook: NotebookNode) -> list[tuple[str, str]]:
    """(kind, source) of each cell."""
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def outputs(notebook: NotebookNode) -> tuple[str, list[str]]:
    """All that the cells have printed, and the pictures that they have shown, in base64."""
    printed, pictures = [], []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output["output_type"] == "stream" and output["name"] == "stdout":
                printed.append(output["text"])
            else:
                pictures.append(output["data"]["image/png"])
    return "".join(printed), pictures


def outputs_of_pages(pages: Sequence[str]) -> tuple[str, list[str]]:
    """All that the pages' code has printed, and the names of its pictures, but the answers'."""
    printed, pictures = [], []
    for page in pages:
        for part in literate.parts(_without_answers(page)):
            if not isinstance(part, str):
                printed.append(part["output"] or "")
                pictures += [part["picture"]] if part["picture"] else []
    return "".join(printed), pictures


_ANSWERS = re.compile(re.escape(literate.ANSWER) + r".*?^</details>\n", re.MULTILINE | re.DOTALL)


def _without_answers(page: str) -> str:
    return _ANSWERS.sub("", page)


def _cells(page: str) -> list[NotebookNode]:
    cells: list[NotebookNode] = []
    text: list[str] = []

    def end_text() -> None:
        words = "".join(text).strip()
        text.clear()
        if words:
            cells.append(v4.new_markdown_cell(words))

    is_answer = False
    for part in literate.parts(page):
        if isinstance(part, str):
            text.append(part)
        elif part["expression"] is not None:
            text.append(part["value"])
        elif part["fold"] == "Answer":
            end_text()
            cells.append(v4.new_code_cell(TRY_IT))
            is_answer = True
            text.append(part[0])
        elif is_answer:
            text.append(part[0])
            if part["end"]:
                end_text()
                is_answer = False
        elif part["code"] is not None:
            end_text()
            cells.append(v4.new_code_cell(part["code"].rstrip()))
        # A picture is the output of its code; a fold of code is open; links to pages go.
    end_text()
    return cells


@contextlib.contextmanager
def _environment(settings: str) -> Any:
    """The kernel's: none of the user's settings of IPython and matplotlib."""
    changed = {"IPYTHONDIR": settings, "MPLCONFIGDIR": settings, "JUPYTER_RUNTIME_DIR": settings}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
