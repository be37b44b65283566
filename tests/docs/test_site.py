"""The docs site has every page, the README as its first, and no link that leads nowhere."""

import shutil

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


def test_what_leads_nowhere_is_an_error(tmp_path):
    copied = {"docs", "ci", "README.md", "mkdocs.yml"}
    for path in ROOT.iterdir():
        if path.name not in copied:
            (tmp_path / path.name).symlink_to(path)
    for name in ("docs", "ci"):
        ignored = shutil.ignore_patterns("node_modules")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("README.md", "mkdocs.yml"):
        shutil.copy(ROOT / name, tmp_path)
    wrong = ["no.md", "use.md#no", "../README.md#no", "../alexnet/no.py"]
    links = [f"[a]({target})" for target in ["use.md#in-python", "../alexnet/config.py", *wrong]]
    (tmp_path / "docs/new.md").write_text("# New\n\n" + " ".join(links) + "\n")
    done = build(tmp_path / "built", root=tmp_path)
    assert done.returncode == 1
    for message in ("'no.md'", "'use.md#no'", "'index.md#no'", "'../alexnet/no.py'", "new.md"):
        assert message in done.stderr
    assert "in-python" not in done.stderr
    assert "config.py" not in done.stderr
