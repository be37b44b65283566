"""What a file is by its first bytes, whatever its suffix says: an image, or what in its place."""

import re
from collections.abc import Iterator

# Without TIFF and PPM: the raw photos of most cameras begin as a TIFF, and a text may as a PPM.
_IMAGES = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|BM....\0\0\0\0|RIFF....WEBP", re.S)
WEB_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body|script|!--)", re.I)
LFS_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/")

CONVERT = "which is not read; convert it to JPEG or PNG"
_NO_IMAGE = "not an image"
_RAW_PHOTO = "a raw photo of a camera"
_WANTED = "a folder or an archive of images is expected"
_PACK = "extract it and name the folder in data.source, or pack it as zip or tar.gz"
_PROGRAM = f"it is no self-extracting zip; {_PACK}"
_EXPORT = "export its images as files into a folder for each class"
_JOIN = "join and extract them"

# What to do with a file in place of an image, and in place of a source (None: it may be one):
# (offset, bytes, what the file is). None of them begins an image that is read, but for a Canon CR2:
# a TIFF whose first page is not the photo.
_KINDS = {
    (CONVERT, _WANTED): (
        (0, b"II*\0\x10\0\0\0CR\x02", f"{_RAW_PHOTO} (CR2)"),
        (4, b"ftypcrx ", f"{_RAW_PHOTO} (CR3)"),
        (0, b"FUJIFILMCCD-RAW", f"{_RAW_PHOTO} (RAF)"),
        (0, b"IIRO", f"{_RAW_PHOTO} (ORF)"),
        (0, b"IIU\0", f"{_RAW_PHOTO} (RW2)"),
        (4, b"ftypavi", "an AVIF image"),
        (4, b"ftyphe", "a HEIC image"),
        (4, b"ftypmif1", "a HEIC image"),
        (4, b"ftypmsf1", "a HEIC image"),
        (0, b"\xff\x0a", "a JPEG XL image"),
        (0, b"\0\0\0\x0cJXL ", "a JPEG XL image"),
        (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
        (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
        (0, b"8BPS", "a Photoshop document (PSD)"),
        (0, b"gimp xcf", "a GIMP document (XCF)"),
        (0, b"\0\0\1\0", "an icon (ICO)"),
        (0, b"P7\n", "a PAM image"),
        (0, b"qoif", "a QOI image"),
        (0, b"DDS ", "a DDS texture"),
        (0, b"v/1\x01", "an OpenEXR image"),
        (0, b"#?R", "a Radiance HDR image"),
        (0, b"SIMPLE  =", "a FITS image"),
        (128, b"DICM", "a DICOM image"),
    ),
    (_NO_IMAGE, _WANTED): (
        (4, b"ftyp", "a video (MP4, MOV)"),
        (8, b"AVI LIST", "a video (AVI)"),
    ),
    (CONVERT, _EXPORT): (
        (0, b"%PDF", "a PDF document"),
        (0, b"%!PS", "a PostScript document"),
        (0, b"\x93NUMPY", "a NumPy array"),
    ),
    (_NO_IMAGE, _EXPORT): (
        (0, b"PAR1", "a Parquet table"),
        (0, b"\x89HDF\r\n", "an HDF5 file"),
    ),
    (_NO_IMAGE, None): (
        (0, b"PK\x03\x04", "a zip archive"),
        (0, b"\x1f\x8b", "a gzip archive"),
    ),
    (_NO_IMAGE, _PACK): (
        (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (0, b"Rar!\x1a\x07", "a RAR archive"),
        (0, b"\x28\xb5\x2f\xfd", "compressed by Zstandard (tar.zst)"),
        (0, b"\x04\x22\x4d\x18", "compressed by LZ4"),
        (0, b"LZIP", "compressed by lzip"),
        (0, b"\x1f\x9d", "compressed by compress (.Z)"),
        (0, b"\x1f\xa0", "compressed by compress (.Z)"),
        (0, b"MSCF", "a cabinet archive"),
        (0, b"!<arch>\n", "an ar archive"),
    ),
    (_NO_IMAGE, _JOIN): (
        (0, b"PK\x07\x08", "a part of a zip in several parts"),
        (0, b"PK00", "a part of a zip in several parts"),
    ),
    (_NO_IMAGE, _PROGRAM): (
        (0, b"MZ", "a Windows program"),
        (0, b"\x7fELF", "a program"),
        (0, b"#!", "a program"),
    ),
}


def is_image(head: bytes) -> bool:
    """Whether a file that starts with `head` is an image of a format that is decoded, for sure."""
    return _IMAGES.match(head) is not None


def describe(head: bytes) -> tuple[str, str] | None:
    """What a file in place of a source is that starts with `head`, and what to do.

    None if nothing is known of it.
    """
    if is_image(head):
        return "one image", _WANTED
    if LFS_POINTER.match(head):
        return "a Git LFS pointer instead of its file", "run git lfs pull"
    if WEB_PAGE.match(head):
        return "a web page, of a login perhaps", "get the archive again"
    return next(((name, advice) for name, _, advice in _kinds(head) if advice), None)


def name_kind(content: bytes) -> str | None:
    """What is wrong with a file that is no image of a format that is read, in words that follow
    "is"; None if its first bytes do not tell."""
    if content.startswith(b"ftypmif1", 4) and b"avif" in content[:64]:  # a brand of HEIC, too
        return f"an AVIF image, {CONVERT}"
    for name, advice, _ in _kinds(content):
        return f"{name}, {advice}"
    head = content[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not content:
        return "empty; get it again"
    if b"<svg" in head and head.startswith((b"<svg", b"<?xml", b"<!")):
        return f"an SVG drawing, {CONVERT}"
    if LFS_POINTER.match(content):
        return "a Git LFS pointer, not the image itself, run `git lfs pull` where it comes from"
    if WEB_PAGE.match(content[:1024]):
        return "a web page, not an image; get it again, from the address of the image itself"
    return None


def name_unknown(content: bytes) -> str:
    """The same for a file that no reader recognises and `name_kind` does not name."""
    if not content.strip(b"\0"):
        return "nothing but zeros; get it again"
    head = content[:1024]
    if all(byte >= 32 or byte in b"\t\n\f\r" for byte in head) and _is_utf8(head):
        return "a text file, not an image"
    return "not an image of a format that is read, or its first bytes are damaged"


def _is_utf8(head: bytes) -> bool:
    """Of the first bytes of a file; the last character may be cut."""
    text = head.decode(errors="ignore").encode()
    return len(head) - len(text) <= 3 and head.startswith(text)


def _kinds(head: bytes) -> Iterator[tuple[str, str, str | None]]:
    """What the file may be, and what to do with it in place of an image, and of a source."""
    for advice, kinds in _KINDS.items():
        for offset, magic, name in kinds:
            if head.startswith(magic, offset):
                yield name, *advice
