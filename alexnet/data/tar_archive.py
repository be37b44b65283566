"""Read a tar as a stream, and nothing that its author could make endless."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from alexnet.data.compressed import open_decompressed
from alexnet.data.members import (
    ArchiveMember,
    checked_path,
    damage_as_user_error,
    not_a_file_error,
)
from alexnet.errors import UserError
from alexnet.files import CHUNK_BYTES

MAX_HEADER_BYTES = 1 << 20  # of a tar's extended header, which tarfile reads whole
_EXTENDED_HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE),
)


def walk_tar(root: Path) -> Iterator[ArchiveMember]:
    """Every file, folder and hard link of a tar, compressed or not; see archive.iter_members."""
    with damage_as_user_error(root), open_decompressed(root) as stream:
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictTarInfo) as archive:
            while (info := archive.next()) is not None:
                inside = checked_path(root, info.name)
                if info.islnk():
                    target = checked_path(root, info.linkname)
                    yield ArchiveMember(root, inside, hard_link_to=target)
                elif info.isdir():
                    yield ArchiveMember(root, inside)
                elif info.isfile():

                    def open_file(info: tarfile.TarInfo = info) -> IO[bytes]:
                        file = archive.extractfile(info)
                        assert file is not None, "it is a plain file"
                        return file

                    yield ArchiveMember(root, inside, info.size, open_file)
                else:
                    raise not_a_file_error(root, inside)
                archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps them all
        # The compressed stream's checksum comes after the end of the archive.
        while rest := stream.read(CHUNK_BYTES):
            if rest.strip(b"\0"):
                raise UserError(
                    f"{root.name}: something follows the end of the tar, a second one perhaps; "
                    "extract it with `tar --ignore-zeros`, and name the folder"
                )


class _StrictTarInfo(tarfile.TarInfo):
    """Raises on a damaged header after the first, where tarfile would end the archive.

    And on extended headers whose size only their author limits.
    """

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_StrictTarInfo":
        try:
            return super().fromtarfile(archive)
        # Not in typeshed. Raised at the zeros that end an archive.
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None

    # The rest is not in typeshed.
    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _EXTENDED_HEADERS and self.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError(
                f"an extended header of {self.size:,} bytes; at most {MAX_HEADER_BYTES:,} are read"
            )
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return member

    def _proc_sparse(self, *_: object) -> None:
        raise tarfile.ReadError("it has sparse files")

    _proc_gnusparse_10 = _proc_sparse
