"""Run the pages of the tour and write down what they print and draw (`make tour`)."""

from pathlib import Path

from alexnet.files import write_text
from tour import literate

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / name for name in ("tour.md", "tour-deeper.md", "tour-learning.md")]
PICTURES = ROOT / "docs" / "images" / "tour"


def main() -> None:
    old = [page.read_text() for page in PAGES]
    new = literate.run_pages(old, [str(page) for page in PAGES], PICTURES)
    for page, before, after in zip(PAGES, old, new, strict=True):
        write_text(page, after)
        changes = literate.differences(before, after)
        print("\n".join([f"{page.relative_to(ROOT)}: {len(changes)} lines have changed", *changes]))


if __name__ == "__main__":
    main()
