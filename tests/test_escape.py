"""Any name is text in each medium, and nothing but text, as a reader of that medium sees it."""

import csv
import io
import logging
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from alexnet.cli.app import TerminalHandler, fail
from alexnet.escape import (
    check_class_name,
    for_csv,
    for_markdown,
    for_terminal,
    message_for_terminal,
)
from alexnet.progress import progress
from alexnet.report.names import LONGEST, for_figure
from tests.names import NASTY, REFUSED, WITH_SLASH, Markdown, normal, unsafe_in

# Surrogates too; often of what is markup somewhere.
NAMES = st.text(
    st.characters() | st.sampled_from("\x1b\n\r\t\x9b\u202e|`*_<>&[]$\\=+-@'#~1. \ud800")
)
quick = settings(max_examples=60, deadline=None)


@quick
@given(NAMES)
def test_a_terminal_gets_one_line_of_harmless_text(name):
    shown = for_terminal(name)
    assert not unsafe_in(shown)
    assert "\n" not in shown
    assert for_terminal(shown) == shown
    assert unsafe_in(name) or "\n" in name or shown == name
    shown.encode()


@quick
@given(st.lists(NAMES))
def test_no_name_forges_a_line_of_a_message(names):
    _, *others = message_for_terminal("no such class: " + "\n".join(names)).split("\n")
    assert all(line.startswith("  ") and not unsafe_in(line) for line in others)


@pytest.mark.parametrize("name", REFUSED)
def test_messages_of_the_command_line_are_harmless(name, capsys):
    record = logging.LogRecord("alexnet", logging.INFO, "", 0, "class %s", (name,), None)
    TerminalHandler().emit(record)
    record.levelno, record.levelname = logging.WARNING, "WARNING"
    TerminalHandler().emit(record)
    with pytest.raises(SystemExit):
        fail(f"class {name}")
    shown = capsys.readouterr()
    assert not unsafe_in(shown.out + shown.err)
    lines = (shown.out + shown.err).splitlines()
    assert all(line.startswith(("class ", "warning: ", "error: ", "  ")) for line in lines)


@pytest.mark.parametrize("name", [*NASTY, *WITH_SLASH, *REFUSED])
def test_a_progress_bar_shows_a_name_as_it_is(name, monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=1000, no_color=True)
    monkeypatch.setattr("alexnet.progress.Console", lambda **_: console)
    with progress(name, 1) as advance:
        advance(1, name[:50])
    assert for_terminal(name) in screen.getvalue()


@quick
@given(NAMES)
@example("    code")
@example("1.")
def test_markdown_shows_a_name_as_text(name):
    shown, expected = for_markdown(name), normal(for_terminal(name))
    page = Markdown(
        f"# {shown}\n\n{shown}\n\n- {shown}\n\n| a | b |\n|---|---|\n| {shown} | {shown} |\n"
    )
    assert not page.html
    assert page.rows[1] == [expected, expected]
    if expected:
        assert page.texts[:3] == [expected] * 3
    assert not page.kinds & {
        "link_open",
        "em_open",
        "strong_open",
        "code_inline",
        "s_open",
        "fence",
    }
    assert page.kinds.isdisjoint({"ordered_list_open", "blockquote_open", "hr", "code_block"})


@pytest.mark.parametrize("name", [*NASTY, *WITH_SLASH, "$x$"])
def test_markdown_shows_the_names_as_text(name):
    page = Markdown(f"{for_markdown(name)}\n\n| a |\n|---|\n| {for_markdown(name)} |\n")
    assert page.texts[0] == page.rows[1][0] == normal(name)
    assert "$" not in for_markdown(name), "which GitHub reads as a formula"


@quick
@given(st.lists(NAMES, unique_by=for_terminal))
@example(["=1", "'=1", "''=1"])
def test_no_cell_is_a_formula_and_different_names_stay_different(names):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([for_csv(name), -1.5] for name in names)
    rows = list(csv.reader(io.StringIO(text.getvalue()), strict=True))
    assert len({row[0] for row in rows}) == len(names)
    for (cell, number), name in zip(rows, names, strict=True):
        assert number == "-1.5"
        assert cell in (for_terminal(name), f"'{for_terminal(name)}")
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))


@quick
@given(st.lists(NAMES | st.text("ab", min_size=38, max_size=60), unique_by=for_terminal))
@example([f"{'a' * 50}{k}" for k in range(3)] + ["a" * 39 + "… (2)"])
@example([f"{'a' * 30}{k}{'a' * 30}" for k in range(12)])
def test_names_in_figures_are_short_and_different(names):
    with mock.patch("alexnet.report.names.update_fonts", return_value=False):  # slow to list
        shown, warning = for_figure(names)
    assert len(shown) == len(set(shown)) == len(names)
    for short, name in zip(shown, map(for_terminal, names), strict=True):
        assert len(short.strip("\u200e")) <= LONGEST
        assert not unsafe_in(short)
        if not warning and len(name) <= LONGEST:
            assert short.strip("\u200e") == name.strip("\u200e")


@quick
@given(NAMES)
def test_a_class_has_a_name_that_can_be_shown_as_it_is(name):
    if 0 < len(name) <= 255 and for_terminal(name) == name:
        assert check_class_name(name) == name
    else:
        with pytest.raises(ValueError, match="name") as caught:
            check_class_name(name)
        assert not unsafe_in(str(caught.value))
