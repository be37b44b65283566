"""What a file is that is not read as an image, by its first bytes, whatever its suffix says."""

from alexnet.data.signatures import LFS_POINTER, WEB_PAGE

CONVERT = "which is not read; convert it to JPEG or PNG"
_NO_IMAGE = "not an image"
_RAW_PHOTO = "a raw photo of a camera"

# (offset, bytes, what the file is, what to do). None of them begins an image that is read, but
# for a Canon CR2: a TIFF whose first page is not the photo.
_KINDS = (
    (0, b"II*\0\x10\0\0\0CR\x02", f"{_RAW_PHOTO} (CR2)", CONVERT),
    (4, b"ftypcrx ", f"{_RAW_PHOTO} (CR3)", CONVERT),
    (0, b"FUJIFILMCCD-RAW", f"{_RAW_PHOTO} (RAF)", CONVERT),
    (0, b"IIRO", f"{_RAW_PHOTO} (ORF)", CONVERT),
    (0, b"IIU\0", f"{_RAW_PHOTO} (RW2)", CONVERT),
    (4, b"ftypavi", "an AVIF image", CONVERT),
    (4, b"ftyphe", "a HEIC image", CONVERT),
    (4, b"ftypmif1", "a HEIC image", CONVERT),
    (4, b"ftypmsf1", "a HEIC image", CONVERT),
    (4, b"ftyp", "a video (MP4, MOV)", _NO_IMAGE),
    (8, b"AVI LIST", "a video (AVI)", _NO_IMAGE),
    (0, b"\xff\x0a", "a JPEG XL image", CONVERT),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL image", CONVERT),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image", CONVERT),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image", CONVERT),
    (0, b"8BPS", "a Photoshop document (PSD)", CONVERT),
    (0, b"gimp xcf", "a GIMP document (XCF)", CONVERT),
    (0, b"\0\0\1\0", "an icon (ICO)", CONVERT),
    (0, b"P7\n", "a PAM image", CONVERT),
    (0, b"qoif", "a QOI image", CONVERT),
    (0, b"DDS ", "a DDS texture", CONVERT),
    (0, b"v/1\x01", "an OpenEXR image", CONVERT),
    (0, b"#?R", "a Radiance HDR image", CONVERT),
    (0, b"SIMPLE  =", "a FITS image", CONVERT),
    (128, b"DICM", "a DICOM image", CONVERT),
    (0, b"%PDF", "a PDF document", CONVERT),
    (0, b"%!PS", "a PostScript document", CONVERT),
    (0, b"\x93NUMPY", "a NumPy array", CONVERT),
    (0, b"PK\x03\x04", "a zip archive", _NO_IMAGE),
    (0, b"\x1f\x8b", "a gzip archive", _NO_IMAGE),
    (0, b"Rar!", "a RAR archive", _NO_IMAGE),
    (0, b"7z\xbc\xaf", "a 7-Zip archive", _NO_IMAGE),
)


def name_kind(content: bytes) -> str | None:
    """What is wrong with a file that is no image of a format that is read, in words that follow
    "is"; None if its first bytes do not tell."""
    for offset, magic, name, advice in _KINDS:
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
