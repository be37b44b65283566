"""What a file is, by its first bytes."""

import re

# Without TIFF and PPM: the raw photos of most cameras begin as a TIFF, and a text may as a PPM.
_IMAGES = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|BM....\0\0\0\0|RIFF....WEBP", re.S)
WEB_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body|script|!--)", re.I)
LFS_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/")
_PACK = "extract it and name the folder in data.source, or pack it as zip or tar.gz"
_KINDS = (
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _PACK),
    (rb"Rar!\x1a\x07", "a RAR archive", _PACK),
    (rb"\x28\xb5\x2f\xfd", "compressed by Zstandard (tar.zst)", _PACK),
    (rb"\x04\x22\x4d\x18", "compressed by LZ4", _PACK),
    (rb"LZIP", "compressed by lzip", _PACK),
    (rb"\x1f[\x9d\xa0]", "compressed by compress (.Z)", _PACK),
    (rb"MSCF", "a cabinet archive", _PACK),
    (rb"!<arch>\n", "an ar archive", _PACK),
    (rb"PK\x07\x08|PK00", "a part of a zip in several parts", "join and extract them"),
    (rb"MZ", "a Windows program, but no self-extracting zip", _PACK),
    (rb"\x7fELF|#!", "a program, but no self-extracting zip", _PACK),
    (rb"PAR1", "a Parquet table", "export its images as files into a folder for each class"),
    (rb"\x89HDF\r\n", "an HDF5 file", "export its images as files into a folder for each class"),
    (rb"\x93NUMPY", "a NumPy array", "export its images as files into a folder for each class"),
    (rb"%PDF", "a PDF document", "export its images as files into a folder for each class"),
    (LFS_POINTER, "a Git LFS pointer instead of its file", "run git lfs pull"),
    (WEB_PAGE, "a web page, of a login perhaps", "get the archive again"),
)


def is_image(head: bytes) -> bool:
    """Whether a file that starts with `head` is an image of a format that is decoded, for sure."""
    return _IMAGES.match(head) is not None


def describe(head: bytes) -> tuple[str, str] | None:
    """What a file that starts with `head` is, and what to do; None if nothing is known of it."""
    if is_image(head):
        return "one image", "a folder or an archive of images is expected"
    return next(((kind, advice) for start, kind, advice in _KINDS if re.match(start, head)), None)
