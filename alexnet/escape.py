"""Names from outside (of classes, files, data sets) as text of a medium, and as nothing but text.

Whoever makes a folder or a file chooses its name. Each medium has one function here, called where
the text leaves the program; HTML is left to jinja's autoescape.
"""

import re
from typing import Annotated

from pydantic import AfterValidator

LONGEST_NAME = 255  # characters; file systems allow as many bytes

# What moves the cursor, starts an escape sequence or a line, reorders the text around it, or is
# no text: controls, line separators, bidirectional embeddings and isolates, surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

# What is markup within a line of Markdown or in a cell of its tables, and at a line's start.
_MARKDOWN = re.compile(
    r"[\\`*~\[\]<>&|$]|(?<![^\W_])_|_(?![^\W_])|^(?:\s+|[#=]|[-+](?=[\s-]|$)|\d+[.)](?=\s|$))"
)


def for_terminal(text: str) -> str:
    r"""`text` in one line: whatever is unsafe to print is written as an escape such as \u001b."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def message_for_terminal(message: str) -> str:
    """A message of one or more lines; the others are indented, so that no name forges one."""
    first, *others = map(for_terminal, message.split("\n"))
    return "\n".join([first, *(line if line[:2] == "  " else f"  {line}" for line in others)])


def for_markdown(text: str) -> str:
    """`text` anywhere in Markdown: a character reference is never markup, in its HTML either."""
    return _MARKDOWN.sub(
        lambda match: "".join(f"&#{ord(character)};" for character in match[0]), for_terminal(text)
    )


def for_csv(text: str) -> str:
    """`text` as a cell that no spreadsheet takes for a formula: it may begin with an apostrophe.

    As OWASP advises against CSV injection. Different names stay different.
    """
    cell = for_terminal(text)
    return f"'{cell}" if cell.startswith(tuple("=+-@＝＋－＠'")) else cell


def check_class_name(name: str) -> str:
    """Return `name`. Raises ValueError unless it can be shown as it is, in one line."""
    if not 0 < len(name) <= LONGEST_NAME:
        raise ValueError(
            f"the class name '{for_terminal(name[:40])}' has {len(name)} characters; it should "
            f"have 1 to {LONGEST_NAME}"
        )
    if _UNSAFE.search(name):
        raise ValueError(
            f"the class name '{for_terminal(name)}' has a control character or is not valid Unicode"
        )
    return name


ClassName = Annotated[str, AfterValidator(check_class_name)]
