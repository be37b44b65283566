"""Class names as pictures show them: in any script, in little room, each unlike the others."""

import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import count

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from alexnet.escape import for_terminal
from alexnet.files import abbreviate
from alexnet.report.style import font_families

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
    lacking = {k: missing for k, name in enumerate(names) if (missing := _undrawable(name))}
    drawn = [f"class {k}" if k in lacking else for_terminal(name) for k, name in enumerate(names)]
    short = shorten(drawn, lambda text: len(text) <= LONGEST)
    return [_left_to_right(name) for name in short], _warning(lacking.values(), len(names))


def shorten(names: Sequence[str], fits: Callable[[str], bool]) -> list[str]:
    """Different names, cut where they do not fit, and still different.

    Cut in the middle, since names often differ at one end alone. Those that are then equal
    start shortly before the character in which they differ; the last resort is a number.
    """
    short = [cut(name, fits) for name in names]
    groups: dict[str, list[str]] = {}
    for name, text in zip(names, short, strict=True):
        groups.setdefault(text, []).append(name)
    for k, name in enumerate(names):
        others = [other for other in groups[short[k]] if other != name]
        if others:
            same = max(_first_difference(name, other) for other in others)
            short[k] = cut(f"…{name[max(0, same - BEFORE) :]}", fits)
    repeated = {text for text, number in Counter(short).items() if number > 1}
    taken = set(short)
    for k, text in enumerate(short):
        if text in repeated:
            short[k] = next(each for each in _numbered(names[k], fits) if each not in taken)
            taken.add(short[k])
    return short


def cut(text: str, fits: Callable[[str], bool]) -> str:
    """`text`, its middle replaced by an ellipsis if it does not fit."""
    if fits(text):
        return text
    candidates = (_without_middle(text, kept) for kept in reversed(range(len(text))))
    return next(filter(fits, candidates), "…")


def _first_difference(name: str, other: str) -> int:
    pairs = enumerate(zip(name, other, strict=False))
    return next((k for k, (one, two) in pairs if one != two), min(len(name), len(other)))


def _without_middle(text: str, kept: int) -> str:
    end = text[len(text) - kept // 2 :]
    while end and unicodedata.category(end[0])[0] == "M":  # an accent whose letter is gone
        end = end[1:]
    return f"{text[: kept - kept // 2].rstrip()}…{end}"


def _numbered(name: str, fits: Callable[[str], bool]) -> Iterable[str]:
    for number in count(1):
        ending = f" ({number})"
        yield cut(name, partial(_fits_with, ending, fits)) + ending


def _fits_with(ending: str, fits: Callable[[str], bool], text: str) -> bool:
    return fits(text + ending)


def _left_to_right(name: str) -> str:
    """Between marks if parts of it run from right to left, which would turn what is beside it."""
    if any(unicodedata.bidirectional(character) in {"R", "AL", "AN"} for character in name):
        return f"{LEFT_TO_RIGHT_MARK}{name}{LEFT_TO_RIGHT_MARK}"
    return name


@cache
def _undrawable(name: str) -> str:
    """The characters of `name` that no installed font has, in regular or in bold."""
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


def _warning(lacking: Iterable[str], num_classes: int) -> str:
    characters = list(dict.fromkeys("".join(lacking)))
    if not characters:
        return ""
    scripts = [script_of(character) for character in characters]
    packages = dict.fromkeys(DEBIAN_PACKAGES.get(script, OTHER_SCRIPTS) for script in scripts)
    return (
        f"no installed font has the characters {abbreviate(characters)} "
        f"({', '.join(dict.fromkeys(scripts))}) of {len(list(lacking))} of {num_classes} class "
        "names: pictures show the numbers of these classes, and the page a table of both. Install "
        f"a font (on Debian and Ubuntu {' '.join(packages)}) and run the stage plot again"
    )


def script_of(character: str) -> str:
    """A character's script as Unicode names it ("THAI"), or "emoji"."""
    if unicodedata.category(character) in {"So", "Sk"} and ord(character) > 0x2000:
        return "emoji"
    return unicodedata.name(character, "unassigned").split(" ")[0].split("-")[0]
