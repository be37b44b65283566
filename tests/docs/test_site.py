"""The docs site has every page, the README as its first, and no link that leads nowhere."""

import shutil

import pytest

from tests.conftest import ROOT

from .conftest import build


def test_every_page_is_there_and_the_readme_is_the_first(site):
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert pages <= {path.stem for path in site.glob("*.html")}
    assert (site / "live/index.html").exists()
    assert not (site / "live/live.js").exists()
    assert "make demo" in (site / "index.html").read_text()


def test_a_link_to_a_file_of_the_repository_is_its_text_or_its_address(site, tmp_path):
    text = (site / "network.html").read_text()
    assert "<code>alexnet/network/model.py</code>" in text
    assert "model.py</code></a>" not in text
    build(tmp_path, SOURCE_URL="https://example.org/alexnet/blob/main/")
    text = (tmp_path / "network.html").read_text()
    assert 'href="https://example.org/alexnet/blob/main/alexnet/network/model.py"' in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a](use.md#in-python) [b](../alexnet/config.py)", ""),
        ("[a](no.md)", "'no.md'"),
        ("[a](use.md#no)", "'use.md#no'"),
        ("[a](../README.md#no)", "'index.md#no'"),
        ("[a](../alexnet/no.py)", "'../alexnet/no.py'"),
        ("A page without a place in the menu", "new.md"),
    ],
)
def test_what_leads_nowhere_is_an_error(tmp_path, text, message):
    copied = {"docs", "ci", "README.md", "mkdocs.yml"}
    for path in ROOT.iterdir():
        if path.name not in copied:
            (tmp_path / path.name).symlink_to(path)
    for name in ("docs", "ci"):
        ignored = shutil.ignore_patterns("node_modules")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("README.md", "mkdocs.yml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "docs/new.md").write_text(f"# New\n\n{text}\n")
    menu = (tmp_path / "mkdocs.yml").read_text()
    if "](" in text:
        menu = menu.replace("  - Start: index.md\n", "  - Start: index.md\n  - New: new.md\n")
    (tmp_path / "mkdocs.yml").write_text(menu)
    done = build(tmp_path / "built", root=tmp_path)
    assert done.returncode == bool(message), done.stderr
    assert message in done.stderr
