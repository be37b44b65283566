"""Run docs/tour.md and write down what it prints and draws (`make tour`)."""

from pathlib import Path

from alexnet.files import write_text
from tour import literate

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tour.md"
PICTURES = ROOT / "docs" / "images" / "tour"


def main() -> None:
    old = PAGE.read_text()
    new = literate.run(old, str(PAGE), PICTURES)
    write_text(PAGE, new)
    changes = literate.differences(old, new)
    print("\n".join([f"{PAGE.relative_to(ROOT)}: {len(changes)} lines have changed", *changes]))


if __name__ == "__main__":
    main()
