"""Verification of an exported artifact by its receiver: first whether to trust it, then its model.

The manifest holds the digest of every other file, and SHA256SUMS that of the manifest too: no byte
of the folder can change unnoticed, and `sha256sum --check SHA256SUMS` detects it without this
package. They do not say who made the folder; a signature does (`alexnet.inference.signature`).
No model is opened before all of that is checked, and then in a process with limits.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from pydantic import JsonValue, ValidationError

from alexnet.errors import UserError
from alexnet.escape import for_terminal
from alexnet.files import explain_validation, sha256, shorten
from alexnet.inference.limited import run_limited
from alexnet.inference.manifest import (
    CHECKSUMS,
    MANIFEST,
    MAX_BYTES,
    Manifest,
    PrecisionEntry,
    checksums,
    read_manifest,
    read_strict,
)
from alexnet.inference.predictor import REJECTION
from alexnet.inference.statement import STATEMENT, statement_of
from alexnet.inference.triton_config import config_path, triton_config

# Tolerance for the probabilities of the samples. Processors round differently, and a
# probability changes at most half as much as a logit. Lower precisions round more coarsely.
MAX_DIFFERENCE = {"fp32": 1e-4, "fp16": 1e-2, "int8": 5e-2}
MAX_FOLDER_BYTES = 1 << 31  # all models of the largest variant have half a gigabyte
MAX_NUM_FILES = 1000
MAX_NUM_ERRORS = 20  # in a message
# What checking a model may take. One of 244 MB takes 4 seconds of a core, one more for ten samples,
# and 0.8 GB.
SECONDS, BYTES_PER_SECOND = 3, 5_000_000
MEMORY_BYTES, MEMORY_PER_BYTE = 1 << 30, 4


@dataclass(frozen=True)
class VerificationResult:
    """What was verified of an artifact."""

    variant: str
    num_files: int
    num_samples: int
    max_difference: dict[str, float]  # of a sample's probability, by precision
    manifest_sha256: str


def verify(
    folder: Path,
    check_signature: Callable[[Path], None] | None = None,
    timeout: int | None = None,
) -> VerificationResult:
    """Check a folder's signature, then its files against its manifest, then its models.

    check_signature: raises UserError unless the folder is as its sender signed it. timeout: in
    seconds of processor time for each model; by default as its size asks for.

    Raises UserError that lists what is wrong; nothing after it is then looked at.
    """
    present = _list_files(folder)
    if check_signature:
        check_signature(folder)
    manifest = read_manifest(folder)
    _raise_if_any(folder, _file_errors(folder, present, manifest))
    _raise_if_any(folder, _statement_errors(folder, manifest))
    _raise_if_any(folder, _config_errors(folder, manifest))
    differences: dict[str, float] = {
        precision: _check_model(folder, precision, entry, timeout)
        for precision, entry in manifest.precisions.items()
    }
    return VerificationResult(
        variant=manifest.variant,
        num_files=len(present),
        num_samples=manifest.num_samples,
        max_difference=differences,
        manifest_sha256=sha256(folder / MANIFEST),
    )


def _list_files(folder: Path) -> dict[str, int]:
    """The number of bytes of each file in `folder`, by its path in it; nothing is opened.

    Raises UserError unless it holds plain files alone, in folders that are not empty, and as many
    and as large as an artifact may have.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder of an exported artifact")
    if (folder / REJECTION).is_file():
        raise UserError(f"{folder} holds no model: it did not pass the gate ({REJECTION})")
    files: dict[str, int] = {}
    errors, folders = [], [""]
    for place in folders:  # it grows
        names = sorted(os.listdir(folder / place))
        if not names and place:
            errors.append(f"{place}: is an empty folder")
        for name in (f"{place}{name}" for name in names):
            status = os.lstat(folder / name)
            if S_ISDIR(status.st_mode):
                folders.append(f"{name}/")
            elif S_ISREG(status.st_mode):
                files[name] = status.st_size
            else:
                errors.append(f"{name}: is not a plain file")
        if len(files) + len(folders) > MAX_NUM_FILES:
            raise UserError(f"{folder} has more than {MAX_NUM_FILES:,} files; it is no artifact")
    if sum(files.values()) > MAX_FOLDER_BYTES:
        raise UserError(f"{folder} has more than {MAX_FOLDER_BYTES:,} bytes; it is no artifact")
    _raise_if_any(folder, errors)
    return files


def _raise_if_any(folder: Path, errors: list[str]) -> None:
    if errors:
        listed = [f"  {for_terminal(shorten(error, 500))}" for error in errors[:MAX_NUM_ERRORS]]
        if len(errors) > MAX_NUM_ERRORS:
            listed.append(f"  and {len(errors) - MAX_NUM_ERRORS:,} more")
        raise UserError("\n".join([f"{folder} differs from what its sender exported:", *listed]))


def _file_errors(folder: Path, present: dict[str, int], manifest: Manifest) -> list[str]:
    """Files that are missing, were added or have changed."""
    listed = manifest.files
    known = listed.keys() | {MANIFEST, CHECKSUMS}
    errors = [f"{name}: is missing" for name in sorted(known - present.keys())]
    errors += [f"{name}: is not in the manifest" for name in sorted(present.keys() - known)]
    for name in sorted(listed.keys() & present.keys()):
        if present[name] != listed[name].bytes:
            errors.append(f"{name}: has {present[name]:,} bytes, expected {listed[name].bytes:,}")
        elif (digest := sha256(folder / name)) != listed[name].sha256:
            errors.append(f"{name}: has SHA-256 {digest}, expected {listed[name].sha256}")
    if not errors:
        digests = {name: entry.sha256 for name, entry in listed.items()}
        text = checksums(digests | {MANIFEST: sha256(folder / MANIFEST)}).encode()
        if present[CHECKSUMS] != len(text) or (folder / CHECKSUMS).read_bytes() != text:
            errors.append(f"{MANIFEST} and {CHECKSUMS} do not match: one of them was changed")
    return errors


def _statement_errors(folder: Path, manifest: Manifest) -> list[str]:
    """The provenance statement says of each file what the manifest says."""
    own = {STATEMENT, MANIFEST, CHECKSUMS}
    digests = {name: entry.sha256 for name, entry in manifest.files.items() if name not in own}
    try:
        expected = statement_of(manifest.provenance, digests)
    except ValidationError as error:
        return [f"{MANIFEST}: provenance.{explain_validation(error)}"]
    if read_strict(folder / STATEMENT, dict[str, JsonValue], MAX_BYTES) == expected:
        return []
    return [f"{STATEMENT}: does not say of these files what {MANIFEST} says of their provenance"]


def _config_errors(folder: Path, manifest: Manifest) -> list[str]:
    """The configurations for Triton are those of the manifest's models, and one for each."""
    expected = {
        config_path(precision): triton_config(
            precision, {manifest.input.name: manifest.input}, manifest.outputs
        )
        for precision in manifest.precisions
    }
    present = {name for name in manifest.files if name.endswith(".pbtxt")}
    extra = sorted(present - expected.keys())
    errors = [f"{name}: is missing" for name in sorted(expected.keys() - present)]
    errors += [f"{name}: is of no model in the folder" for name in extra]
    for name in sorted(expected.keys() & present):
        if (folder / name).read_bytes() != expected[name].encode():
            errors.append(f"{name}: is not the configuration of the model that {MANIFEST} states")
    return errors


def _check_model(folder: Path, precision: str, entry: PrecisionEntry, timeout: int | None) -> float:
    """The largest difference of a sample's probability. Raises UserError if the model is wrong."""
    seconds = timeout or SECONDS + entry.bytes // BYTES_PER_SECOND
    num_bytes = MEMORY_BYTES + MEMORY_PER_BYTE * entry.bytes
    arguments = [str(folder), precision]
    try:
        result = run_limited("alexnet.inference.model_check", arguments, seconds, num_bytes)
    except UserError as error:
        result = {"errors": [str(error)]}
    _raise_if_any(folder, [f"{entry.file}: {' '.join(it.split())}" for it in result["errors"]])
    return float(result["max_difference"])
