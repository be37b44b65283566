"""Run the tour, write what its pages print and draw, and make the notebook (`make tour`)."""

from pathlib import Path

from alexnet.files import write_text
from tour import literate, notebook, pictures

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NAMES = ("layers", "deeper", "classifier", "learning", "training")
PAGES = [DOCS / "tour.md", *(DOCS / f"tour-{name}.md" for name in NAMES)]
PICTURES = DOCS / "images" / "tour"
NOTEBOOK = DOCS / "tour.ipynb"


def main() -> None:
    shown = []

    def show(name: str, figure: pictures.Figure) -> None:
        shown.append(name)
        pictures.save(figure, PICTURES / f"{name}.png")

    old = [page.read_text() for page in PAGES]
    new = literate.run_pages(old, [str(page) for page in PAGES], show)
    for page, before, after in zip(PAGES, old, new, strict=True):
        write_text(page, after)
        changes = literate.differences(before, after)
        print("\n".join([f"{page.relative_to(ROOT)}: {len(changes)} lines have changed", *changes]))
    for picture in PICTURES.glob("*.png"):
        if picture.stem not in shown:
            picture.unlink()
            print(f"{picture.relative_to(ROOT)}: removed, no page draws it")

    book = notebook.build(new)
    notebook.execute(book, DOCS)
    write_text(NOTEBOOK, notebook.text_of(book))
    print(f"{NOTEBOOK.relative_to(ROOT)}: {len(book.cells)} cells")


if __name__ == "__main__":
    main()
