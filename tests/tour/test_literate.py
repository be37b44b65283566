"""The machine behind the tour, on pages of a few lines."""

import pytest

from tour.literate import differences, prose, run

PAGE = """# Sums

```python
x = 6 * 7
print("x is", x)
print()
```

```text
x is 41
```

<!-- python
y = x / 4
-->
A quarter is <!--= f"{y:.1f}" -->10<!--/--> and the whole <!--= x -->1<!--/-->.

```python
z = 1
```
"""


def test_outputs_and_values_are_written_anew(tmp_path):
    page = run(PAGE, "sums.md", tmp_path)
    assert "```text\nx is 42\n\n```\n" in page
    assert '<!--= f"{y:.1f}" -->10.5<!--/--> and the whole <!--= x -->42<!--/-->.' in page
    assert page.endswith("```python\nz = 1\n```\n"), "without output there is no block for it"
    assert run(page, "sums.md", tmp_path) == page
    assert differences(PAGE, page)


def test_an_output_appears_where_there_was_none(tmp_path):
    assert run("```python\nprint(1)\n```\n", "page.md", tmp_path) == (
        "```python\nprint(1)\n```\n\n```text\n1\n```\n"
    )


def test_a_mistake_is_found_at_its_line_of_the_page(tmp_path):
    with pytest.raises(ZeroDivisionError) as caught:
        run("# Title\n\n```python\nx = 1\nx / 0\n```\n", "page.md", tmp_path)
    frame = caught.traceback[-1]
    assert (str(frame.path).rsplit("/", 1)[-1], frame.lineno + 1) == ("page.md", 5)


def test_what_is_not_seen_prints_nothing(tmp_path):
    with pytest.raises(AssertionError, match="prints nothing"):
        run("<!-- python\nprint(1)\n-->\n", "page.md", tmp_path)


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
    text = prose(PAGE)
    assert "A quarter is" in text
    assert not any(character.isdigit() for character in text)
