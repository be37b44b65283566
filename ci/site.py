"""A hook of mkdocs: the README is the site's first page, and links lead somewhere on the site too.

A link to a file that is no page of the site (code, data, a workflow) becomes an address of the
repository if the environment variable SOURCE_URL names it, as
https://github.com/OWNER/NAME/blob/main; else it becomes its own text.
"""

import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
# A block of code, which stays as it is, or a link: its text, its target, its place on that page.
PARTS = re.compile(
    r"^```.*?^```$|\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)",
    re.DOTALL | re.MULTILINE,
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    files.append(File.generated(config, "index.md", abs_src_path=str(ROOT / "README.md")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    def on_the_site(match: re.Match[str]) -> str:
        text, target, anchor = match["text"], match["target"], match["anchor"] or ""
        if not target or ":" in target:
            return match[0]  # a block of code, a place on this page, or another host's address
        path = posixpath.normpath(posixpath.join(folder, target))
        uri = "index.md" if path == "README.md" else posixpath.relpath(path, "docs")
        if (file := files.get_file_from_path(uri)) and file.inclusion.is_included():
            return f"[{text}]({posixpath.relpath(uri, posixpath.dirname(here) or '.')}{anchor})"
        if not (ROOT / path).exists():
            return match[0]  # mkdocs warns of it
        return f"[{text}]({source}/{path})" if source else text

    here = page.file.src_uri
    source = os.environ.get("SOURCE_URL", "").rstrip("/")
    folder = "" if here == "index.md" else posixpath.join("docs", posixpath.dirname(here))
    return PARTS.sub(on_the_site, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    return re.sub(r"<th([^>]*)></th>", r"<td\1></td>", html)  # an empty cell is no heading


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')  # the theme's
