"""A picture's SVG file as the page embeds it: in the reader's colours, and small."""

import base64
import io
import re
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image

from alexnet.files import require_file
from alexnet.report.canvas import PHOTOGRAPH
from alexnet.report.style import ON_DARK

QUALITY = 80  # of photographs in WebP, from 0 to 100
# An image in matplotlib's SVG, and the id that `Canvas.image` gives to photographs.
IMAGE = re.compile(rf'data:image/png;base64,([^"]*)"( id="{PHOTOGRAPH})?')


NAMESPACE = {"dc": "http://purl.org/dc/elements/1.1/"}


def words_of(path: Path) -> tuple[str, str]:
    """The title and the caption of the picture at `path`, as `style.save_body` wrote them."""
    root = ElementTree.parse(require_file(path)).getroot()
    title, caption = (root.find(f".//dc:{name}", NAMESPACE) for name in ("title", "description"))
    return (title is not None and title.text) or "", (caption is not None and caption.text) or ""


def data_uri(path: Path) -> str:
    """The SVG at `path` as a data: URI, with colours for a light and a dark page."""
    picture = dark_mode_svg(compress_images(require_file(path).read_text(encoding="utf-8")))
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode('ascii')}"


def compress_images(svg: str) -> str:
    """The SVG with its PNGs as WebP: with losses for photographs, and lossless for all others."""
    return IMAGE.sub(_as_webp, svg)


def _as_webp(match: re.Match[str]) -> str:
    photograph = match[2] or ""
    with Image.open(io.BytesIO(base64.b64decode(match[1]))) as image, io.BytesIO() as file:
        if photograph:
            image.convert("RGB").save(file, "webp", quality=QUALITY)
        else:
            image.save(file, "webp", lossless=True, exact=True)
        webp = base64.b64encode(file.getvalue()).decode("ascii")
    return f'data:image/webp;base64,{webp}"{photograph}'


def dark_mode_svg(svg: str) -> str:
    """The SVG with its colours as CSS variables, which follow the reader's colour scheme."""
    names = {colour.lower(): f"c{number}" for number, colour in enumerate(ON_DARK)}
    light = ";".join(f"--{name}:{colour}" for colour, name in names.items())
    replacements = zip(names.values(), ON_DARK.values(), strict=True)
    dark = ";".join(f"--{name}:{colour}" for name, colour in replacements)
    style = f"<style>svg{{{light}}}@media (prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    pattern = re.compile("|".join(names))
    # Only within style="...": an embedded image's bytes may hold anything.
    themed = re.sub(
        r'style="[^"]*"',
        lambda match: pattern.sub(lambda colour: f"var(--{names[colour[0]]})", match[0]),
        svg,
    )
    start = themed.index(">", themed.index("<svg")) + 1
    return themed[:start] + style + themed[start:]
