"""Class names as pictures show them: in any script, in little room, each unlike the others."""

import re
import unicodedata
import warnings
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import count, pairwise

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from alexnet.escape import for_terminal
from alexnet.files import abbreviate
from alexnet.report.style import font_families, update_fonts

LONGEST = 40  # characters, of a name in a title
BEFORE = 4  # characters kept in front of the first one that differs
LEFT_TO_RIGHT_MARK = "\u200e"

# What to install for a script, by the first word of its characters' Unicode names.
DEBIAN_PACKAGES = dict.fromkeys(
    ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "FULLWIDTH"), "fonts-noto-cjk"
) | {"emoji": "fonts-symbola"}
OTHER_SCRIPTS = "fonts-noto-core"


def for_figure(names: Sequence[str]) -> tuple[list[str], str]:
    """The classes' names as pictures show them, and a warning if some cannot be shown, else "".

    A name with a character that no installed font has is replaced by the class's number, as
    labels.json counts: "class 3".
    """
    lacking = _lacking(names)
    if lacking and update_fonts():
        lacking = _lacking(names)
    drawn = [f"class {k}" if k in lacking else for_terminal(name) for k, name in enumerate(names)]
    short = shorten(drawn, lambda text: len(text) <= LONGEST)
    return [_left_to_right(name) for name in short], _warning(lacking.values(), len(names))


def shorten(names: Sequence[str], fits: Callable[[str], bool]) -> list[str]:
    """Different names, cut where they do not fit, and still different.

    Cut in the middle, since names often differ at one end alone. Those that are then equal
    start shortly before the character in which they differ; the last resort is a number.
    """
    short = [cut(name, fits) for name in names]
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for name, text in zip(names, short, strict=True):
        groups[text].add(name)
    same = {name: length for group in groups.values() for name, length in _same(group).items()}
    for k, name in enumerate(names):
        if len(groups[short[k]]) > 1:
            short[k] = cut(f"…{name[max(0, same[name] - BEFORE) :]}", fits)
    repeated = {text for text, number in Counter(short).items() if number > 1}
    taken = set(short)
    numbers: defaultdict[str, Iterator[int]] = defaultdict(partial(count, 1))
    for k, text in enumerate(short):
        if text in repeated:
            numbered = (_numbered(names[k], number, fits) for number in numbers[text])
            short[k] = next(each for each in numbered if each not in taken)
            taken.add(short[k])
    return short


def cut(text: str, fits: Callable[[str], bool]) -> str:
    """`text`, its middle replaced by an ellipsis if it does not fit."""
    if fits(text):
        return text
    # By bisection: to measure a text takes a millisecond, and there may be a thousand names.
    too_many = bisect_left(
        range(len(text)), True, key=lambda kept: not fits(_without_middle(text, kept))
    )
    return _without_middle(text, max(0, too_many - 1))


def _same(group: set[str]) -> dict[str, int]:
    """How many first characters each name shares with another: in order, with its neighbour."""
    same = dict.fromkeys(group, 0)
    for one, two in pairwise(sorted(group)):
        letters = enumerate(zip(one, two, strict=False))
        length = next((k for k, (a, b) in letters if a != b), len(one))
        same[one], same[two] = max(same[one], length), length
    return same


def _without_middle(text: str, kept: int) -> str:
    end = text[len(text) - kept // 2 :]
    while end and unicodedata.category(end[0])[0] == "M":  # an accent whose letter is gone
        end = end[1:]
    return f"{text[: kept - kept // 2].rstrip()}…{end}"


def _numbered(name: str, number: int, fits: Callable[[str], bool]) -> str:
    ending = f" ({number})"
    return cut(name, lambda text: fits(text + ending)) + ending


def _left_to_right(name: str) -> str:
    """Between marks if parts of it run from right to left, which would turn what is beside it."""
    if any(unicodedata.bidirectional(character) in {"R", "AL", "AN"} for character in name):
        return f"{LEFT_TO_RIGHT_MARK}{name}{LEFT_TO_RIGHT_MARK}"
    return name


def _lacking(names: Sequence[str]) -> dict[int, str]:
    """For each class whose name has such: the characters that no installed font has."""
    return {k: missing for k, name in enumerate(names) if (missing := _undrawable(name))}


def _undrawable(name: str) -> str:
    """The characters of `name` that no installed font has, in regular or in bold."""
    if name.isascii():
        return ""
    missing: dict[str, None] = {}
    for weight in ("normal", "bold"):
        font = FontProperties(family=font_families(), weight=weight)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            text_to_path.get_text_width_height_descent(for_terminal(name), font, ismath=False)
        for warning in caught:
            if found := re.match(r"Glyph (\d+) ", str(warning.message)):
                missing[chr(int(found[1]))] = None
    return "".join(missing)


def _warning(lacking: Collection[str], num_classes: int) -> str:
    characters = list(dict.fromkeys("".join(lacking)))
    if not characters:
        return ""
    scripts = [script_of(character) for character in characters]
    packages = dict.fromkeys(DEBIAN_PACKAGES.get(script, OTHER_SCRIPTS) for script in scripts)
    return (
        f"no installed font has the characters {abbreviate(characters)} "
        f"({', '.join(dict.fromkeys(scripts))}) of {len(lacking)} of {num_classes} class "
        "names: pictures show the numbers of these classes, and the page a table of both. Install "
        f"a font (on Debian and Ubuntu {' '.join(packages)}), then run "
        "`dvc repro --force --single-item plot`"
    )


def script_of(character: str) -> str:
    """A character's script as Unicode names it ("THAI"), or "emoji"."""
    if unicodedata.category(character) in {"So", "Sk"} and ord(character) > 0x2000:
        return "emoji"
    return unicodedata.name(character, "unassigned").split(" ")[0].split("-")[0]
