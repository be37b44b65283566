"""The README and docs/ are easy to read: short sentences, and the field's words.

Prints each sentence of more than 30 words, and each word that docs/vocabulary.yaml avoids, with
its file and line; exits with 1 if there is one. A paragraph, an item of a list, a heading and a
cell of a table end a sentence, a code span is one word; blocks of code and HTML are no sentences.

    python -m ci.prose
    python -m ci.prose README.md docs/data.md
"""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
MAX_WORDS = 30
# A full stop ends a sentence if what follows begins one (the name of a layer does, too, which is
# not a capital); "e.g." and "et al." do not.
END = re.compile(
    r"""(?<!e\.g)(?<!i\.e)(?<!\bal)(?<!\bvs)[.!?]['")\]]*\s+(?=["'(\[]*([A-Z0-9`]|[a-z]+\d))"""
)
Vocabulary = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Text:
    """The prose of one block, whose lines are those of its file; code spans stand in backticks."""

    line: int
    prose: str

    def sentences(self) -> Iterator[tuple[int, str]]:
        """Each with the line on which it begins."""
        start = 0
        for end in [*(match.end() for match in END.finditer(self.prose)), len(self.prose)]:
            sentence = self.prose[start:end]
            yield self.line_of(start), " ".join(sentence.split())
            start = end

    def line_of(self, place: int) -> int:
        return self.line + self.prose.count("\n", 0, place)


def texts(markdown: str) -> Iterator[Text]:
    """The prose of each block that holds some."""
    line = 1
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        line = token.map[0] + 1 if token.map else line  # a cell has the line of its row
        if token.type == "inline":
            yield Text(line, "".join(map(_prose, token.children or ())))


def _prose(token: Token) -> str:
    match token.type:
        case "text":
            return token.content
        case "code_inline":
            return f"`{token.content}`"
        case "softbreak" | "hardbreak":
            return "\n"
    return ""  # marks of emphasis and links, pictures, HTML


def count_words(sentence: str) -> int:
    """A code span counts as one word, whatever it holds, and a dash as none."""
    plain = re.sub(r"`[^`]*`", "code", sentence)
    return sum(any(map(str.isalnum, word)) for word in plain.split())


def check(markdown: str, vocabulary: Vocabulary) -> Iterator[tuple[int, str]]:
    """The line and the message of each flaw."""
    for text in texts(markdown):
        for line, sentence in text.sentences():
            if (count := count_words(sentence)) > MAX_WORDS:
                yield line, f"{count} words: {sentence}"
        # Each kind of text with the other one blanked, so that places stay the same.
        code = re.sub(r"`[^`]*`|(\S)", lambda m: " " if m[1] else m[0], text.prose)
        prose = re.sub(r"`[^`]*`", lambda m: "_" * len(m[0]), text.prose)
        yield from _avoided(text, prose, vocabulary["text"], r"(?<!\w)(?:{})(?!\w)")
        yield from _avoided(text, code, vocabulary["code"], r"`(?:{})\b[^`]*`")


def _avoided(text: Text, prose: str, words: dict[str, str], form: str) -> Iterator[tuple[int, str]]:
    for avoided, better in words.items():
        pattern = form.format(avoided.replace(" ", r"\s+"))
        for match in re.finditer(pattern, prose, re.IGNORECASE):
            found = " ".join(match[0].split())
            yield text.line_of(match.start()), f"'{found}': the field's word is '{better}'"


def pages() -> list[Path]:
    found = (page for page in sorted((ROOT / "docs").rglob("*.md")))
    return [ROOT / "README.md", *(page for page in found if "node_modules" not in page.parts)]


def main(files: Iterable[Path]) -> int:
    vocabulary = YAML(typ="safe").load(ROOT / "docs" / "vocabulary.yaml")
    flaws = 0
    for file in files:
        for line, message in check(file.read_text(), vocabulary):
            print(f"{file.relative_to(ROOT)}:{line}: {message}")
            flaws += 1
    return int(flaws > 0)


if __name__ == "__main__":
    sys.exit(main([Path(name).resolve() for name in sys.argv[1:]] or pages()))
