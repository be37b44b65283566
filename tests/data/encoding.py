"""Image files as odd cameras and tools write them, a few pixels each, byte by byte."""

import io
import struct
import zlib

from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIZES = {"B": 1, "H": 3, "I": 4}  # struct's format: TIFF's type


def encode(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, body):
    """A chunk of a PNG."""
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def png(depth, colour, rows, *chunks, size=None):
    """rows: the bytes of each; size: the claimed (width, height), by default that of a square."""
    width, height = size or (len(rows), len(rows))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    return PNG_SIGNATURE + b"".join(
        [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    )


def after_header(png, *chunks):
    """A PNG with further chunks."""
    return png[:33] + b"".join(chunks) + png[33:]


def big(*values):
    """Numbers of 16 bits, as PNG and PNM have them."""
    return struct.pack(f">{len(values)}H", *values)


def tiff(data, bits, photometric, order="<", **tags):
    """An uncompressed square of 2 x 2; tags: t339=("H", [2]) for tag 339 of type H."""
    entries = {256: ("H", [2]), 257: ("H", [2]), 258: ("H", bits), 259: ("H", [1])}
    entries |= {262: ("H", [photometric]), 273: ("I", [8]), 277: ("H", [len(bits)])}
    entries |= {278: ("H", [2]), 279: ("I", [len(data)])}
    entries |= {int(name[1:]): entry for name, entry in tags.items()}
    start = 8 + len(data)
    stop = start + 6 + 12 * len(entries)
    fields, rest = b"", b""
    for tag, (kind, values) in sorted(entries.items()):
        raw = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(raw) > 4:
            raw, rest = struct.pack(f"{order}I", stop + len(rest)), rest + raw
        fields += struct.pack(f"{order}HHI", tag, SIZES[kind], len(values)) + raw.ljust(4, b"\0")
    magic = {"<": b"II*\0", ">": b"MM\0*"}[order]
    head = magic + struct.pack(f"{order}I", start) + data
    return head + struct.pack(f"{order}H", len(entries)) + fields + bytes(4) + rest


def bmp(pixels, masks=b""):
    """32 bits a pixel, (blue, green, red, alpha) from the bottom row up, 2 x 2."""
    size, compression = (108, 3) if masks else (40, 0)
    rest = (masks + b"BGRs").ljust(68, b"\0") if masks else b""
    start = 14 + size
    header = struct.pack("<IiiHHIIiiII", size, 2, 2, 1, 32, compression, 16, 0, 0, 0, 0)
    head = b"BM" + struct.pack("<IHHI", start + 16, 0, 0, start)
    return head + header + rest + bytes(pixels)


def exif(body):
    """An EXIF block, which may be none."""
    return b"Exif\0\0" + body


def frames(kind, **options):
    """An animation or pages whose first frame is (9, 8, 7) everywhere."""
    first, second = (Image.new("RGB", (4, 4), colour) for colour in ((9, 8, 7), "blue"))
    return encode(first, kind, save_all=True, append_images=[second], **options)


def cmyk_jpeg(*stored, transform=0):
    """Four components as they are stored, which is inverted; transform 2: YCCK, of which the
    first three give 255 minus the red, green and blue that CMYK would store."""
    inks = tuple(255 - value for value in stored)
    content = encode(Image.new("CMYK", (8, 8), inks), "JPEG", quality=100)
    at = content.index(b"Adobe") + 11
    return content[:at] + bytes([transform]) + content[at + 1 :]
