"""What counts as a sentence, a word and an avoided word."""

import pytest

from ci.prose import check, count_words, main, pages, texts
from tests.conftest import ROOT

VOCABULARY = {"text": {"behind(?! SSH)": "after", "goes on": "resume"}, "code": {"zoom": "scale"}}
LONG = " ".join(f"Word{number}" for number in range(31))


def sentences(markdown: str) -> list[tuple[int, int, str]]:
    """The line, the number of words and the text of each."""
    found = [each for text in texts(markdown) for each in text.sentences()]
    return [(line, count_words(sentence), sentence) for line, sentence in found]


@pytest.mark.parametrize(
    ("markdown", "counts"),
    [
        ("One two three. Four five! conv3 is six.", [3, 2, 3]),
        ("`alexnet predict a b` takes files. `make demo` runs.", [3, 2]),
        ("It costs 3.5 s, e.g. On Monday, by Smith et al. It is.", [13]),
        ("A [link of four words](https://example.org/a.b.C) - and **bold text**.", [8]),
        ("# Two words\n\n- one item\n- another\n\n  its second paragraph", [2, 2, 1, 3]),
        ("| a cell | two. Three words here |\n|---|---|\n| one more | x |", [2, 1, 3, 2, 1]),
        ("```\na block of code\n```\n\n<div>\nhtml\n</div>\n\n![a picture](x.png)", [0]),
    ],
    ids=["stops", "code", "no stops", "link", "list", "table", "no text"],
)
def test_the_words_of_each_sentence_are_counted(markdown, counts):
    assert [count for _, count, _ in sentences(markdown)] == counts


def test_a_sentence_has_its_line():
    assert sentences("# T\n\nOne two.\nThree\nfour. Five.\n") == [
        (1, 1, "T"),
        (3, 2, "One two."),
        (4, 2, "Three four."),
        (5, 1, "Five."),
    ]


def test_more_than_thirty_words_are_a_flaw():
    assert list(check(f"Short.\n\n{LONG.removesuffix(' Word30')}.", VOCABULARY)) == []
    ((line, message),) = check(f"Short.\n\n{LONG}.", VOCABULARY)
    assert (line, message) == (3, f"31 words: {LONG}.")


def test_avoided_words_are_found_in_texts_and_old_names_in_code():
    text = "The pool Behind it.\nA remote behind SSH, and\nit goes\non; `behind`, zoom, `zoom=1`."
    found = [(line, message.split("'")[1]) for line, message in check(text, VOCABULARY)]
    assert found == [(1, "Behind"), (3, "goes on"), (4, "`zoom=1`")]


def test_every_page_is_checked():
    found = {page.relative_to(ROOT).as_posix() for page in pages()}
    assert {"README.md", "docs/data.md", "docs/live/README.md"} <= found
    assert not any("node_modules" in name for name in found)


def test_the_exit_status_says_whether_there_are_flaws(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ci.prose.ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/vocabulary.yaml").write_text("text:\n  behind: after\ncode: {}\n")
    page = tmp_path / "README.md"
    page.write_text("Short.")
    assert main([page]) == 0
    page.write_text(f"Short.\n{LONG}\nbehind it.")
    assert main([page]) == 1
    assert capsys.readouterr().out == (
        f"README.md:2: 33 words: {LONG} behind it.\n"
        "README.md:3: 'behind': the field's word is 'after'\n"
    )
