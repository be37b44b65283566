"""A photograph, and a folder of five of its parts in several formats, among other files."""

from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_images

PHOTO = Image.fromarray(load_sample_images().images[0])  # 640x427
NAMES = ["a.png", "b.jpg", "c.bmp", "d.PNG", "more/e.webp"]  # sorted


def write_photos(folder: Path) -> Path:
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(["b.jpg", "a.png", "d.PNG", "c.bmp", "more/e.webp"]):
        PHOTO.crop((100 * number, 0, 100 * number + 150, 200)).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    (folder / ".a.png").write_text("hidden")
    return folder
