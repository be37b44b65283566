"""Names chosen with bad intent, or none, and what a reader of each medium makes of them."""

import unicodedata
from html.parser import HTMLParser
from itertools import pairwise

from markdown_it import MarkdownIt

# A folder may have any of these.
NASTY = [
    *("<img src=x onerror=alert(1)>", "<script>alert(1)", "<!-- comment", "&lt;b&gt;", '"><b>'),
    *("=1+1", "+1", "-1", "@SUM(1)", "'=1+1", "=cmd|' C'!A0", "a,b;c", '"quotes" and \\'),
    *("a|b", "a\\|b", "`code`", "``", "**bold**", "_em_", "[link](x)", "![image](x)", "~~no~~"),
    *("# heading", "- item", "1. item", "> quote", "---", "    code", "trailing  ", "* * *"),
    *("$x^2$", "$\\frac", "$5", "[red]markup", "{{ 7 * 7 }}", "{% raw %}", "%s %d {}"),
    *("cafe\u0301", "z\u0301\u0302\u0303\u0304", "猫", "חתול", "\u200bhidden", "\\u001b[31m"),
    *("x" * 255, "javascript:alert(1)", "https:\\\\example.org", "aux", "NaN", "null", "1e5"),
]
# What a folder's name cannot hold: a slash.
WITH_SLASH = ["</script><script>alert(1)</script>", "</td></tr><h1>", "-->", "</summary>"]
WITH_SLASH += ["[red]markup[/blue]"]
# Refused as names of classes.
REFUSED = ["a\nb", "\x1b[31mred", "bell\x07", "a\tb", "\x9b31m", "del\x7f", "\u202egnp.exe"]
REFUSED += ["line\u2028separator", "\u2066isolate"]
# Shown as markup, each of them makes a browser request an address.
REQUESTING = [
    '<img src="http://localhost:9/stolen">',
    "<img src=x onerror=\"fetch('http://localhost:9/stolen')\">",
    "</script><script>fetch('http://localhost:9/stolen')</script>",
    "</td></table><iframe src='http://localhost:9/stolen'></iframe>",
    "\"><link rel=stylesheet href='http://localhost:9/stolen'>",
    "javascript:fetch('http://localhost:9/stolen')",
    "</title></style><svg onload=\"fetch('http://localhost:9/stolen')\">",
]

_EMBEDDINGS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def is_unsafe(character: str) -> bool:
    """By Unicode's own data: what a terminal acts on, or what reorders the text around it."""
    category = unicodedata.category(character)
    embeds = unicodedata.bidirectional(character) in _EMBEDDINGS
    return category in {"Cc", "Cs", "Zl", "Zp"} or embeds


def unsafe_in(output: str) -> set[str]:
    """The characters of an output that must not reach a terminal."""
    return set(filter(is_unsafe, output.replace("\n", "")))


def normal(text: str) -> str:
    """As HTML shows it: runs of white space are a space, none is at the ends."""
    return " ".join(text.split())


class Markdown:
    """A page of GitHub's Markdown as its reader sees it."""

    def __init__(self, text: str) -> None:
        tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
        inline = [child for token in tokens for child in token.children or []]
        self.kinds = {token.type for token in [*tokens, *inline]}
        self.html = [token.content for token in [*tokens, *inline] if token.type[:4] == "html"]
        self.texts = [self._shown(token) for token in tokens if token.type == "inline"]
        self.rows: list[list[str]] = []
        for before, token in pairwise(tokens):
            if before.type == "tr_open":
                self.rows.append([])
            if before.type in ("th_open", "td_open"):
                self.rows[-1].append(self._shown(token))

    @staticmethod
    def _shown(token) -> str:
        return normal("".join(child.content for child in token.children or []))


class Html(HTMLParser):
    """A page's tags with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(html)

    @property
    def kinds(self) -> tuple[set[str], set[str]]:
        """Those of the tags, and of the attributes."""
        return {tag for tag, _ in self.tags}, {key for _, pairs in self.tags for key in pairs}

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += f"{data} "
