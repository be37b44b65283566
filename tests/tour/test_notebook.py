"""The notebook of the pages, on a page of a few lines, and its first cell."""

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tour import notebook
from tour.__main__ import PAGES
from tour.notebook import SETUP, SETUP_TITLE, TRY_IT, build, outputs, outputs_of_pages, sources

PAGE = """# Title

## Product

Six times seven is <!--= 6 * 7 -->42<!--/-->.

<!--page-->The [next page](next.md).
<!--/page-->
```python
print(42)
```

```text
42
```

<details markdown="1">
<summary>The code of the picture</summary>

```python
import matplotlib.pyplot as plt

figure, axes = plt.subplots()
axes.grid(True)
```

</details>

![A grid](images/tour/grid.png)

## Exercises

How many?

<details markdown="1">
<summary>Answer</summary>

Two.

```python
print(2)
```

```text
2
```

</details>
"""


def test_the_notebook_has_text_and_code_of_the_page_and_its_answers_folded():
    assert sources(build([PAGE])) == [
        ("markdown", "# Title"),
        ("markdown", SETUP_TITLE),
        ("code", SETUP.rstrip()),
        ("markdown", "## Product\n\nSix times seven is 42."),
        ("code", "print(42)"),
        (
            "code",
            "import matplotlib.pyplot as plt\n\nfigure, axes = plt.subplots()\naxes.grid(True)",
        ),
        ("markdown", "## Exercises\n\nHow many?"),
        ("code", TRY_IT),
        ("markdown", PAGE[PAGE.rindex("<details") :].rstrip()),
    ]


def test_the_pages_outputs_are_those_that_the_notebook_has_as_well():
    assert outputs_of_pages([PAGE, PAGE]) == ("42\n42\n", ["grid", "grid"])


@pytest.mark.slow
def test_a_notebook_is_executed_and_holds_its_outputs_alone():
    book = build([PAGE])
    notebook.execute(book, ROOT / "docs")
    printed, pictures = outputs(book)
    assert printed == "42\n"
    assert len(pictures) == 1
    text = notebook.text_of(book)
    assert not re.search(r"0x[0-9a-f]{6}|<Figure|timestamp|/tmp/", text), "the same in each run"
    again = build([PAGE])
    notebook.execute(again, ROOT / "docs")
    assert notebook.text_of(again) == text


@pytest.mark.slow
def test_the_first_cell_fetches_the_project_where_there_is_none(tmp_path):
    """As in Colab, where nothing of the project is installed."""
    imports = re.findall(r"^(?:from|import) .+$", "\n".join(map(str, _code())), re.MULTILINE)
    code = SETUP.replace("https://github.com/OWNER/alexnet", ROOT.as_uri())
    code += "\n".join([*imports, "import alexnet", "print(alexnet.__file__)"])
    # -S -E: an installed package of the same name is not found; its other packages are.
    packages = [path for path in sys.path if path.endswith("site-packages")]
    code = f"import sys\nsys.path += {packages}\n{code}"
    result = subprocess.run(
        [sys.executable, "-S", "-E", "-c", code],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / "alexnet-tour/alexnet/__init__.py")


def test_in_a_checkout_the_first_cell_fetches_nothing(tmp_path):
    code = f"{SETUP}print(root)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "docs",
        env=os.environ | {"PATH": ""},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stdout.strip()) == (0, str(ROOT)), result.stderr


def _code() -> list[str]:
    book = build([page.read_text() for page in PAGES])
    return [cell.source for cell in book.cells if cell.cell_type == "code"]
