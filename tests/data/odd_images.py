"""Odd image files, each with its exact pixels or with the message of its error."""

import struct
import zlib

import numpy as np
from PIL import Image

from .encoding import after_header, big, bmp, chunk, cmyk_jpeg, encode, exif, frames, png, tiff

SQUARE = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
UPRIGHT, LYING = SQUARE.tolist(), np.rot90(SQUARE, -1).tolist()  # for orientation 6
IMAGE = Image.fromarray(SQUARE)
PLAIN = encode(IMAGE)
PALETTE = chunk(b"PLTE", bytes([10, 20, 30, 40, 50, 60, 70, 80, 90]))
SIX = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
BROKEN_EXIF = {
    "no TIFF": exif(b"garbage"),
    "four bytes": exif(b"II*\0"),
    "cut": exif(b"II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\x01"),
    "no orientation": exif(SIX.replace(b"\x06", b"\x63")),
}


def flat(*pixel, side=8):
    return np.full((side, side, len(pixel)), pixel).tolist()


def exact_inputs():
    """(content, pixels) by name: a list (N, N) is read as grey, (N, N, 3) as colour."""
    clear = chunk(b"tRNS", big(300))
    alpha = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    four = [[[7, 8, 9], [10, 11, 12]], [[1, 2, 3], [4, 5, 6]]]
    bottom_up = [3, 2, 1, 0, 6, 5, 4, 0, 9, 8, 7, 0, 12, 11, 10, 0]
    rows16 = [big(0, 65535), big(385, 300)]
    one = [[255, 0], [0, 255]]
    rgb16 = [0, 65535, 32896, 300, 384, 255] + [65535] * 6
    rgb8 = [[[0, 255, 128], [1, 1, 0]], flat(255, 255, 255, side=2)[0]]  # the high bytes
    inputs = {
        "PGM of 10 bits": (b"P5 2 2 1023\n" + big(0, 1023, 512, 256), [[0, 255], [128, 64]]),
        "PGM of 16 bits": (b"P5 2 2 65535\n" + big(0, 65535, 385, 386), [[0, 255], [1, 2]]),
        "PGM up to 100": (b"P5 2 2 100\n" + bytes([0, 100, 31, 1]), [[0, 255], [79, 3]]),
        "PGM in digits": (b"P2 2 2 1023\n0 1023 512 256\n", [[0, 255], [128, 64]]),
        "PPM of 10 bits": (
            b"P6 2 2 1023\n" + big(0, 1023, 512, *[256] * 9),
            [[[0, 255, 128], [64] * 3], [[64] * 3, [64] * 3]],
        ),
        "PBM": (b"P4 2 2\n" + bytes([0b01000000, 0b10000000]), one),
        "PNG of 1 bit": (png(1, 0, [[0b10000000], [0b01000000]]), one),
        "PNG of 16 bits": (png(16, 0, rows16), [[0, 255], [1, 1]]),
        "PNG of 16 bits, transparent value": (png(16, 0, rows16, clear), [[0, 255], [1, 255]]),
        "PNG of 16 bits, alpha": (
            png(16, 4, [big(0, 65535, 32896, 65535), big(9, 0, 65535, 65535)]),
            [[0, 128], [255, 255]],
        ),
        "PNG of 16 bits, colour": (png(16, 2, [big(*rgb16[:6]), big(*rgb16[6:])]), rgb8),
        "PNG of 4 bits, transparent value": (
            png(4, 0, [[0x3F], [0x03]], chunk(b"tRNS", big(3))),
            [[255, 255], [0, 255]],
        ),
        "PNG of 2 bits, transparent value": (
            png(2, 0, [[0b00010000], [0b10110000]], chunk(b"tRNS", big(1))),
            [[0, 255], [170, 255]],
        ),
        "PNG of 1 bit, transparent value": (
            png(1, 0, [[0b10000000], [0b01000000]], chunk(b"tRNS", big(1))),
            [[255, 0], [0, 255]],
        ),
        "PNG of 8 bits, transparent colour": (
            png(8, 2, [[1, 2, 3, 4, 5, 6], [7, 8, 9, 1, 2, 4]], chunk(b"tRNS", big(1, 2, 3))),
            [[[255] * 3, [4, 5, 6]], [[7, 8, 9], [1, 2, 4]]],
        ),
        "PNG with a palette, transparent colours": (
            png(8, 3, [[0, 1], [2, 1]], PALETTE, chunk(b"tRNS", bytes([0, 255, 51]))),
            [[[255] * 3, [40, 50, 60]], [[218, 220, 222], [40, 50, 60]]],
        ),
        "TIFF of 16 bits, big-endian": (
            tiff(big(0, 65535, 385, 386), [16], 1, ">"),
            [[0, 255], [1, 2]],
        ),
        "TIFF of 12 bits": (
            tiff(bytes([0x00, 0x0F, 0xFF, 0x80, 0x00, 0x40]), [12], 1),
            [[0, 255], [128, 4]],
        ),
        "TIFF of 16 bits, white is zero": (
            tiff(struct.pack("<4H", 0, 65535, 385, 386), [16], 0),
            [[255, 0], [254, 253]],
        ),
        "TIFF of 8 bits, white is zero": (
            tiff(bytes([0, 255, 100, 1]), [8], 0),
            [[255, 0], [155, 254]],
        ),
        "TIFF of 1 bit, white is zero": (tiff(bytes([0b01000000, 0b10000000]), [1], 0), one),
        "TIFF of 16 bits, colour": (tiff(struct.pack("<12H", *rgb16), [16] * 3, 2), rgb8),
        "TIFF, grey times alpha": (
            tiff(bytes([10, 51, 20, 255, 0, 0, 7, 255]), [8, 8], 1, t338=("H", [1])),
            [[214, 20], [255, 7]],
        ),
        "TIFF, colour times alpha": (
            tiff(bytes([10, 20, 30, 51] * 4), [8] * 4, 2, t338=("H", [1])),
            flat(214, 224, 234, side=2),
        ),
        "TIFF, a fourth value that is no alpha": (
            tiff(bytes([1, 2, 3, 0] * 4), [8] * 4, 2, t338=("H", [0])),
            flat(1, 2, 3, side=2),
        ),
        "TIFF in CMYK": (tiff(bytes([255, 0, 0, 0] * 4), [8] * 4, 5), flat(0, 255, 255, side=2)),
        "TIFF in LAB": (tiff(bytes([128, 0, 0] * 4), [8] * 3, 8), flat(119, 119, 119, side=2)),
        "TIFF in LAB, as grey": (tiff(bytes([128, 0, 0] * 4), [8] * 3, 8), [[119] * 2] * 2),
        "TIFF in YCbCr": (
            tiff(bytes([76, 85, 255] * 4), [8] * 3, 6, t530=("H", [1, 1])),
            flat(254, 0, 0, side=2),
        ),
        "TIFF, orientation": (
            tiff(bytes([1, 2, 3, 4]), [8], 1, t274=("H", [6])),
            [[3, 1], [4, 2]],
        ),
        "TIFF, EXIF beyond the end": (
            tiff(bytes([1, 2, 3, 4]), [8], 1, t34665=("I", [1 << 30])),
            [[1, 2], [3, 4]],
        ),
        "BMP of 32 bits": (bmp(bottom_up), four),
        "BMP, an alpha of zeros": (bmp(bottom_up, alpha), four),
        "BMP, an alpha": (
            bmp([*bottom_up[:15], 255], alpha),
            [[[255] * 3, [10, 11, 12]], [[255] * 3] * 2],
        ),
        "GIF, animated": (frames("GIF"), flat(9, 8, 7, side=4)),
        "WebP, animated": (frames("WEBP", lossless=True), flat(9, 8, 7, side=4)),
        "PNG, animated": (frames("PNG"), flat(9, 8, 7, side=4)),
        "TIFF, pages": (frames("TIFF"), flat(9, 8, 7, side=4)),
        "JPEG in CMYK": (cmyk_jpeg(0, 255, 255, 255), flat(0, 255, 255)),
        "JPEG in YCCK": (cmyk_jpeg(100, 128, 128, 255, transform=2), flat(155, 155, 155)),
        "PNG, a damaged text": (after_header(PLAIN, chunk(b"tEXt", b"a\0b")[:-1] + b"?"), UPRIGHT),
        "PNG, a long text, orientation": (
            after_header(
                PLAIN,
                chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(1 << 21))),
                chunk(b"eXIf", SIX),
            ),
            LYING,
        ),
        "PNG, a cut gamma": (after_header(PLAIN, chunk(b"gAMA", b"")), UPRIGHT),
        "PNG, a broken colour profile": (after_header(PLAIN, chunk(b"iCCP", b"a\0\0?")), UPRIGHT),
    }
    for name, block in BROKEN_EXIF.items():
        webp = encode(IMAGE, "WEBP", lossless=True, exif=block)
        jpeg = encode(Image.new("RGB", (8, 8), (9, 9, 9)), "JPEG", exif=block)
        inputs[f"PNG, broken EXIF: {name}"] = (encode(IMAGE, exif=block), UPRIGHT)
        inputs[f"WebP, broken EXIF: {name}"] = (webp, UPRIGHT)
        inputs[f"JPEG, broken EXIF: {name}"] = (jpeg, flat(9, 9, 9))
    return inputs


def refused_inputs():
    """(content, a pattern of the message) by name."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    jpeg = encode(Image.fromarray(noise), "JPEG")
    lzw = encode(IMAGE, "TIFF", compression="tiff_lzw")
    jpeg_tiff = encode(IMAGE, "TIFF", compression="jpeg")
    convert = "which is not read; convert it to JPEG or PNG"
    four = struct.pack("<4H", 1, 2, 3, 4)
    return {
        "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", f"is a HEIC image, {convert}"),
        "HEIC of another brand": (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "is a HEIC image"),
        "AVIF": (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", f"is an AVIF image, {convert}"),
        "AVIF of another brand": (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "is an AVIF image"),
        "JPEG XL": (b"\xff\x0a\xfa\x1f", f"is a JPEG XL image, {convert}"),
        "PSD": (b"8BPS\0\1", r"is a Photoshop document \(PSD\)"),
        "CR2": (b"II*\0\x10\0\0\0CR\x02\0", r"is a raw photo of a camera \(CR2\)"),
        "NEF": (tiff(bytes(4), [8], 1, t254=("I", [1])), "its first page is a thumbnail"),
        "DNG": (tiff(bytes(4), [8], 1, t50706=("B", [1, 4, 0, 0])), "first page is a thumbnail"),
        "SVG": (b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "is an SVG drawing"),
        "PDF": (b"%PDF-1.7\n", "is a PDF document"),
        "web page": (b"\n<!DOCTYPE html>\n<html>", "is a web page, not an image"),
        "empty": (b"", "is empty"),
        "zeros": (bytes(5000), "is nothing but zeros"),
        "text": ("naïve".encode(), "is a text file"),
        "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        "video": (b"\0\0\0\x18ftypmp42", "is a video"),
        "noise": (noise.tobytes(), "not an image of a format that is read"),
        "TIFF of 32 bits": (tiff(bytes(16), [32], 1), "with 32 bits a pixel"),
        "TIFF of floats": (tiff(bytes(16), [32], 1, t339=("H", [3])), "with 32 bits a pixel"),
        "TIFF of signed 16 bits": (tiff(four, [16], 1, t339=("H", [2])), "signed values"),
        "TIFF of signed 8 bits": (tiff(bytes(4), [8], 1, t339=("H", [2])), "signed values"),
        "TIFF of 16 bits in planes": (
            tiff(
                bytes(24), [16] * 3, 2,
                t284=("H", [2]), t273=("I", [8, 16, 24]), t279=("I", [8, 8, 8]),
            ),
            "16 bits in separate planes",
        ),
        "TIFF of 16 bits, white is zero, big-endian": (
            tiff(big(1, 2, 3, 4), [16], 0, ">"),
            "is a TIFF image that is damaged, or of a kind that is not read",
        ),
        "TIFF in subsampled YCbCr": (tiff(bytes(6), [8] * 3, 6), "subsampled YCbCr"),
        "TIFF of 100 values a pixel": (
            tiff(bytes(4), [8], 1, t277=("H", [100])),
            "is a TIFF image that is damaged, or of a kind",
        ),
        "TIFF, cut": (lzw[: len(lzw) // 2], "is a TIFF image that is damaged"),
        "TIFF, damaged LZW": (lzw[:12] + b"\xff" * 28 + lzw[40:], "its data is damaged"),
        "TIFF, cut JPEG": (jpeg_tiff[: len(jpeg_tiff) // 2], "its data is damaged"),
        "PNG, 16-bit transparent colour": (
            png(16, 2, [big(*range(6))] * 2, chunk(b"tRNS", big(0, 1, 2))),
            "a transparent colour with 16 bits",
        ),
        "PNG without its palette": (png(8, 3, [[0, 1], [2, 1]]), "its palette is missing"),
        "PNG, a wrong sum": (
            PLAIN[:-13] + bytes([PLAIN[-13] ^ 1]) + PLAIN[-12:],
            "its data is damaged",
        ),
        "PNG without its last chunk": (PLAIN[:-12], "its end is missing"),
        "PNG, cut": (encode(Image.fromarray(noise))[:5000], "its end is missing"),
        "WebP, cut": (encode(Image.fromarray(noise), "WEBP")[:1500], "its data is damaged"),
        "JPEG, cut": (jpeg[: len(jpeg) // 2], "its end is missing"),
        "JPEG, zeros after half of it": (
            jpeg[: len(jpeg) // 2] + bytes(len(jpeg) // 2),
            "its end is missing",
        ),
        "PNG of 140 megapixels": (
            png(1, 0, [[0]], size=(14_000, 10_000)),
            "14,000 x 10,000 pixels; at most 134,217,728 are decoded; make the image smaller",
        ),
        "PNG of 400 megapixels": (
            png(1, 0, [[0]], size=(20_000, 20_000)),
            "too many pixels; at most 134,217,728 are decoded; make the image smaller",
        ),
    }  # fmt: skip
