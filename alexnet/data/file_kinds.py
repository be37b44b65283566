"""What a file is by its first bytes, whatever its suffix says: an image, or what in its place."""

import re

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

# (offset, bytes, what the file is, what to do with it in place of an image, and in place of a
# source; None: it may be one). None of them begins an image that is read, but for a Canon CR2: a
# TIFF whose first page is not the photo.
_KINDS = (
    (0, b"II*\0\x10\0\0\0CR\x02", f"{_RAW_PHOTO} (CR2)", CONVERT, _WANTED),
    (4, b"ftypcrx ", f"{_RAW_PHOTO} (CR3)", CONVERT, _WANTED),
    (0, b"FUJIFILMCCD-RAW", f"{_RAW_PHOTO} (RAF)", CONVERT, _WANTED),
    (0, b"IIRO", f"{_RAW_PHOTO} (ORF)", CONVERT, _WANTED),
    (0, b"IIU\0", f"{_RAW_PHOTO} (RW2)", CONVERT, _WANTED),
    (4, b"ftypavi", "an AVIF image", CONVERT, _WANTED),
    (4, b"ftyphe", "a HEIC image", CONVERT, _WANTED),
    (4, b"ftypmif1", "a HEIC image", CONVERT, _WANTED),
    (4, b"ftypmsf1", "a HEIC image", CONVERT, _WANTED),
    (4, b"ftyp", "a video (MP4, MOV)", _NO_IMAGE, _WANTED),
    (8, b"AVI LIST", "a video (AVI)", _NO_IMAGE, _WANTED),
    (0, b"\xff\x0a", "a JPEG XL image", CONVERT, _WANTED),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL image", CONVERT, _WANTED),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image", CONVERT, _WANTED),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image", CONVERT, _WANTED),
    (0, b"8BPS", "a Photoshop document (PSD)", CONVERT, _WANTED),
    (0, b"gimp xcf", "a GIMP document (XCF)", CONVERT, _WANTED),
    (0, b"\0\0\1\0", "an icon (ICO)", CONVERT, _WANTED),
    (0, b"P7\n", "a PAM image", CONVERT, _WANTED),
    (0, b"qoif", "a QOI image", CONVERT, _WANTED),
    (0, b"DDS ", "a DDS texture", CONVERT, _WANTED),
    (0, b"v/1\x01", "an OpenEXR image", CONVERT, _WANTED),
    (0, b"#?R", "a Radiance HDR image", CONVERT, _WANTED),
    (0, b"SIMPLE  =", "a FITS image", CONVERT, _WANTED),
    (128, b"DICM", "a DICOM image", CONVERT, _WANTED),
    (0, b"%PDF", "a PDF document", CONVERT, _EXPORT),
    (0, b"%!PS", "a PostScript document", CONVERT, _EXPORT),
    (0, b"\x93NUMPY", "a NumPy array", CONVERT, _EXPORT),
    (0, b"PAR1", "a Parquet table", _NO_IMAGE, _EXPORT),
    (0, b"\x89HDF\r\n", "an HDF5 file", _NO_IMAGE, _EXPORT),
    (0, b"PK\x03\x04", "a zip archive", _NO_IMAGE, None),
    (0, b"\x1f\x8b", "a gzip archive", _NO_IMAGE, None),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _NO_IMAGE, _PACK),
    (0, b"Rar!\x1a\x07", "a RAR archive", _NO_IMAGE, _PACK),
    (0, b"\x28\xb5\x2f\xfd", "compressed by Zstandard (tar.zst)", _NO_IMAGE, _PACK),
    (0, b"\x04\x22\x4d\x18", "compressed by LZ4", _NO_IMAGE, _PACK),
    (0, b"LZIP", "compressed by lzip", _NO_IMAGE, _PACK),
    (0, b"\x1f\x9d", "compressed by compress (.Z)", _NO_IMAGE, _PACK),
    (0, b"\x1f\xa0", "compressed by compress (.Z)", _NO_IMAGE, _PACK),
    (0, b"MSCF", "a cabinet archive", _NO_IMAGE, _PACK),
    (0, b"!<arch>\n", "an ar archive", _NO_IMAGE, _PACK),
    (0, b"PK\x07\x08", "a part of a zip in several parts", _NO_IMAGE, _JOIN),
    (0, b"PK00", "a part of a zip in several parts", _NO_IMAGE, _JOIN),
    (0, b"MZ", "a Windows program", _NO_IMAGE, _PROGRAM),
    (0, b"\x7fELF", "a program", _NO_IMAGE, _PROGRAM),
    (0, b"#!", "a program", _NO_IMAGE, _PROGRAM),
)


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
    kinds = ((name, advice) for at, magic, name, _, advice in _KINDS if head.startswith(magic, at))
    return next(((name, advice) for name, advice in kinds if advice), None)


def name_kind(content: bytes) -> str | None:
    """What is wrong with a file that is no image of a format that is read, in words that follow
    "is"; None if its first bytes do not tell."""
    for offset, magic, name, advice, _ in _KINDS:
        if content.startswith(magic, offset):
            if magic == b"ftypmif1" and b"avif" in content[:64]:  # a brand of both
                name = "an AVIF image"
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
