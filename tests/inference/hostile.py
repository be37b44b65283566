"""Hostile folders, each made from an honest artifact by a function of a few lines.

The functions of KINDS get the folder; what they put right (`redigest`) is what a dishonest sender
would. Beside the folder are its signature, `sender.pub`, and the key pair of another person.
"""

import json
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet.export.attestation import write_statement
from alexnet.export.bundle import write_manifest, write_triton_configs
from alexnet.files import sha256

STATEMENT = "provenance.intoto.json"
OWN = ("manifest.json", "SHA256SUMS", STATEMENT)


@dataclass(frozen=True)
class Kind:
    """How to make a hostile folder, and what its receiver reads of it."""

    make: Callable[[Path], object]
    words: str  # of the message
    opened: bool  # whether a model may be opened: signature, digests and manifest are in order
    limited: bool  # whether it shows the limits of the process that opens it
    options: tuple[str, ...]  # of the command


KINDS: dict[str, Kind] = {}


def kind(words: str, *options: str, opened: bool = False, limited: bool = False) -> Callable:
    """Add the decorated function to KINDS by its name."""

    def add(make: Callable[[Path], object]) -> Callable[[Path], object]:
        assert make.__name__ not in KINDS
        KINDS[make.__name__] = Kind(make, words, opened or limited, limited, options)
        return make

    return add


def read(folder: Path, name: str = "manifest.json") -> Any:
    return json.loads((folder / name).read_text())


def write(folder: Path, value: Any, name: str = "manifest.json") -> None:
    """Write a JSON file; and SHA256SUMS that fits the manifest."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2)
    (folder / name).write_text(text)
    if name == "manifest.json":
        sums = (folder / "SHA256SUMS").read_text().splitlines()
        others = [line for line in sums if not line.endswith("  manifest.json")]
        own = f"{sha256(folder / name)}  manifest.json"
        lines = sorted([*others, own], key=lambda line: line[66:])
        (folder / "SHA256SUMS").write_text("".join(f"{line}\n" for line in lines))


def redigest(
    folder: Path, statement: str | None = None, with_configs: bool = False, **changes: Any
) -> None:
    """Change the manifest, and let all that follows from the files fit them again.

    statement: the text of the provenance statement, instead of one that fits. with_configs: the
    configurations for Triton fit as well.
    """
    manifest = read(folder) | changes
    for name in OWN:
        (folder / name).unlink()
    for entry in manifest["precisions"].values():
        entry["bytes"] = (folder / entry["file"]).stat().st_size
    del manifest["files"]
    if with_configs:
        write_triton_configs(folder, manifest)
    if statement is None:
        write_statement(folder, manifest["provenance"])
    else:
        (folder / STATEMENT).write_text(statement)
    write_manifest(folder, manifest)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


# Changed on the way.


@kind("model.onnx: has SHA-256")
def a_flipped_bit_of_the_model(folder):
    flip(folder / "model.onnx")


@kind("samples/00.png: has SHA-256")
def a_flipped_bit_of_an_image(folder):
    flip(folder / "samples/00.png")


@kind("provenance.intoto.json: has SHA-256")
def a_flipped_bit_of_the_statement(folder):
    flip(folder / "provenance.intoto.json")


@kind("model.onnx: has .* bytes, expected")
def a_model_that_is_cut(folder):
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-100])


@kind("labels.json: is missing")
def a_missing_file(folder):
    (folder / "labels.json").unlink()


@kind("manifest.json does not exist")
def a_missing_manifest(folder):
    (folder / "manifest.json").unlink()


@kind("SHA256SUMS: is missing")
def missing_checksums(folder):
    (folder / "SHA256SUMS").unlink()


@kind("manifest.json and SHA256SUMS do not match")
def other_checksums(folder):
    (folder / "SHA256SUMS").write_text("")


@kind("artifacts is not a folder")
def no_folder(folder):
    shutil.rmtree(folder)
    folder.write_text("a file")


@kind("manifest.json does not exist")
def an_empty_folder(folder):
    shutil.rmtree(folder)
    folder.mkdir()


@kind("onnxruntime.py: is not in the manifest")
def a_module_that_would_be_imported(folder):
    (folder / "onnxruntime.py").write_text("raise SystemExit(0)")


@kind(r"\.hidden: is not in the manifest")
def a_hidden_file(folder):
    (folder / ".hidden").touch()


@kind("more/: is an empty folder")
def an_empty_folder_inside(folder):
    (folder / "more").mkdir()


@kind("labels.json: is not a plain file")
def a_link_to_a_file_outside(folder):
    (folder / "labels.json").rename(folder.parent / "labels.json")
    (folder / "labels.json").symlink_to("../labels.json")


@kind("samples: is not a plain file")
def a_link_to_a_folder(folder):
    (folder / "samples").rename(folder.parent / "samples")
    (folder / "samples").symlink_to("../samples")


@kind("more: is not a plain file")
def a_link_that_leads_nowhere(folder):
    (folder / "more").symlink_to("nowhere")


@kind("labels.json: is not a plain file", "--key=sender.pub")
def a_pipe_that_would_be_waited_for(folder):
    (folder / "labels.json").unlink()
    os.mkfifo(folder / "labels.json")


@kind("manifest.json: is not a plain file")
def a_manifest_that_is_a_pipe(folder):
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")


@kind("manifest.json is not a plain file")
def a_manifest_that_is_a_folder(folder):
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").mkdir()
    (folder / "manifest.json/a").touch()


@kind("s: is not a plain file")
def a_socket(folder):
    os.chdir(folder)  # its address is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")


@kind(r"a\\u000aartifacts is verified: all\\u001b\[2J: is not in the manifest")
def a_name_that_forges_a_message(folder):
    (folder / "a\nartifacts is verified: all\x1b[2J").touch()


@kind(r"\\udcff: is not in the manifest")
def a_name_that_is_no_text(folder):
    Path(os.fsdecode(bytes(folder) + b"/\xff")).touch()


@kind("has more than 2,147,483,648 bytes", "--key=sender.pub")
def an_enormous_file(folder):
    with (folder / "more").open("wb") as file:
        file.truncate(1 << 40)


@kind("has more than 1,000 files")
def a_thousand_files(folder):
    for number in range(1001):
        (folder / "samples" / f"{number}.txt").touch()


@kind("has more than 1,000 files")
def folders_in_folders(folder):
    for name in ("a", "b"):
        os.chdir(folder)
        for _ in range(550):
            os.mkdir(name)
            os.chdir(name)


# Changed on the way, by someone who has put the digests right; the signature tells.


@kind("is not as the private key of sender.pub signed it", "--key=sender.pub")
def other_labels_under_another_manifest(folder):
    write(folder, ["x", *read(folder, "labels.json")[1:]], "labels.json")
    redigest(folder)


@kind("is not as the private key of sender.pub signed it .*more.txt", "--key=sender.pub")
def an_added_file_in_another_manifest(folder):
    (folder / "more.txt").touch()
    redigest(folder)


@kind("is not as the private key of other.pub signed it", "--key=other.pub")
def the_key_of_another(folder):
    pass


@kind("samples/00.png", "--key=sender.pub", "--signature=part.sig")
def a_signature_that_leaves_out_the_samples(folder):
    flip(folder / "samples/00.png")
    redigest(folder)


@kind("artifacts.sig does not exist", "--key=sender.pub")
def a_missing_signature(folder):
    folder.with_name("artifacts.sig").unlink()
    (folder / "model.onnx").write_text("not a model")


@kind("artifacts.sig is not a signature", "--key=sender.pub")
def a_signature_of_another_form(folder):
    folder.with_name("artifacts.sig").write_text("[" * 10_000)


@kind("artifacts.sig has .* bytes", "--key=sender.pub")
def an_enormous_signature(folder):
    os.truncate(folder.with_name("artifacts.sig"), 1 << 40)


@kind("artifacts.sig does not exist, or is not a file", "--key=sender.pub")
def a_signature_that_would_be_waited_for(folder):
    folder.with_name("artifacts.sig").unlink()
    os.mkfifo(folder.with_name("artifacts.sig"))


@kind("model.onnx: has 5,0.* bytes that are not weights", opened=True)
def a_model_in_another_format_beside_its_weights(folder):
    """In a field that ONNX does not know, onnxruntime may find a model in its own format."""
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\xc2\x3e\xc0\x96\xb1\x02" + bytes(5_000_000))  # field 1000
    redigest(folder)
