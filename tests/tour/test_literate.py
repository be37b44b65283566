"""The machine that runs the tour, on pages of a few lines."""

import pytest
import torch
from matplotlib.figure import Figure

from tests.report.layout import all_text
from tour.literate import differences, prose, run_pages

PAGE = """# Sums

```python
x = 6 * 7
print("x is", x)
print()
```

```text
x is 41
```

A quarter is <!--= f"{x / 4:.1f}" -->10<!--/--> and the whole <!--= x -->1<!--/-->.

```python
z = 1
```
"""
PLOT = "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\naxes.set_title('{}')\n"
SHOWN = "![a line](images/tour/line.png)\n"


def run(page: str, name: str = "page.md") -> str:
    return run_pages([page], [name], lambda name, figure: None)[0]


def code(*lines: str) -> str:
    return "\n".join(["```python", *lines, "```", ""])


def answer(text: str) -> str:
    return f'<details markdown="1">\n<summary>Answer</summary>\n\n{text}\n</details>\n'


def draw(title: str) -> str:
    return f"```python\n{PLOT.format(title)}axes.grid(True)\n```\n"


def test_outputs_and_values_are_written_anew():
    page = run(PAGE)
    assert "```text\nx is 42\n\n```\n" in page
    assert '<!--= f"{x / 4:.1f}" -->10.5<!--/--> and the whole <!--= x -->42<!--/-->.' in page
    assert page.endswith("```python\nz = 1\n```\n"), "without output there is no block for it"
    assert run(page) == page
    assert differences(PAGE, page)


def test_an_output_appears_where_there_was_none():
    assert run("```python\nprint(1)\n```\n") == ("```python\nprint(1)\n```\n\n```text\n1\n```\n")


def test_pages_share_their_names():
    pages = [code("x = 1"), code("print(x + 1)")]
    assert "```text\n2\n```" in run_pages(pages, ["a.md", "b.md"], lambda *_: None)[1]


def test_a_mistake_is_found_at_its_line_of_the_page():
    with pytest.raises(ZeroDivisionError) as caught:
        run("# Title\n\n```python\nx = 1\nx / 0\n```\n")
    frame = caught.traceback[-1]
    assert (str(frame.path).rsplit("/", 1)[-1], frame.lineno + 1) == ("page.md", 5)


def test_what_a_notebook_would_show_is_printed():
    with pytest.raises(AssertionError, match="print 3, which a notebook would show"):
        run(code("1 + 2"))


def test_each_picture_is_the_figure_of_the_code_before_it():
    shown: list[tuple[str, Figure]] = []
    from_value = code(
        "from matplotlib.figure import Figure", "f = Figure()", "f.text(0, 0, 'two')", "f"
    )
    page = draw("one") + SHOWN + from_value + SHOWN.replace("line", "other")
    run_pages([page], ["page.md"], lambda *what: shown.append(what))
    assert [(name, all_text(figure).split()[-1]) for name, figure in shown] == [
        ("line", "one"),
        ("other", "two"),
    ]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (SHOWN, "no code has drawn line"),
        (draw("one"), "the last figure is not shown"),
        (draw("one") + draw("two") + SHOWN, "a figure is not shown before"),
        (code(*(2 * PLOT).splitlines(), "x = 1") + SHOWN, "one figure for each block"),
    ],
)
def test_a_picture_without_its_figure_or_the_reverse(page, message):
    with pytest.raises(AssertionError, match=message):
        run(page)


def test_what_follows_does_not_depend_on_answers():
    """The notebook does not run them."""
    draws = code("import torch", "torch.manual_seed(0)", "x = 1")
    after = code("print(x, torch.rand(1).item())")
    within = answer(code("x = 2", "y = torch.rand(1)", "print(x)"))
    page = run(draws + within + after)
    assert "```text\n2\n```" in page
    torch.manual_seed(0)
    assert f"```text\n1 {torch.rand(1).item()}\n```" in page
    with pytest.raises(NameError):
        run(draws + within + code("print(y)"))


def test_the_users_settings_of_matplotlib_do_not_matter(monkeypatch):
    import matplotlib

    monkeypatch.setitem(matplotlib.rcParams, "figure.dpi", 31.0)
    figures: list[Figure] = []
    run_pages([draw("one") + SHOWN], ["page.md"], lambda _, figure: figures.append(figure))
    assert figures[0].dpi == 100
    assert matplotlib.rcParams["figure.dpi"] == 31


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("loss 2.31", "loss 2.30", True),  # one unit in the last digit: rounding
        ("loss 2.31", "loss 2.29", False),
        ("9 of 10", "8 of 10", False),  # without decimals: exactly
        ("1,024 weights", "1,024 weights", True),
        ("loss 2.31", "cost 2.31", False),
        ("0.1 0.2", "0.1 0.2 0.3", False),
        ("a line", "a line\nand another", False),
    ],
)
def test_differences(old, new, same):
    assert (differences(old, new) == []) == same


def test_prose_is_what_people_wrote():
    text = prose(PAGE + SHOWN + answer("Because.") + "<!--page-->The end.<!--/page-->\n")
    assert all(words in text for words in ("A quarter is", "a line", "Because.", "The end."))
    assert not any(character.isdigit() for character in text)
