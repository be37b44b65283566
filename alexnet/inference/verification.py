"""Verification of an exported artifact by its receiver.

Needs onnxruntime, numpy and Pillow, no PyTorch. The manifest holds the digest of every
other file, and SHA256SUMS that of the manifest too: no byte of the folder can change
unnoticed, and `sha256sum --check SHA256SUMS` detects it without this package.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.errors import UserError
from alexnet.files import read_json, sha256
from alexnet.inference.predictor import MODEL_FILENAMES, Predictor

SCHEMA = 3
MANIFEST = "manifest.json"
CHECKSUMS = "SHA256SUMS"
ADVICE = "ask its sender for it again"
# Tolerance for the probabilities of the samples. Processors round differently, and a
# probability changes at most half as much as a logit. Lower precisions round more coarsely.
MAX_DIFFERENCE = {"fp32": 1e-4, "fp16": 1e-2, "int8": 5e-2}


@dataclass(frozen=True)
class VerificationResult:
    """What was verified of an artifact."""

    variant: str
    num_files: int
    num_samples: int
    max_difference: dict[str, float]  # of a sample's probability, by precision
    manifest_sha256: str


def verify(folder: Path) -> VerificationResult:
    """Check a folder against its manifest, and its models against its samples.

    Raises UserError that lists everything that is wrong.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder of an exported artifact")
    manifest = _manifest(folder)
    try:
        _raise_if_any(folder, _file_errors(folder, manifest["files"]))
        differences = {}
        for precision in manifest["precisions"]:
            predictor = Predictor(folder, precision)
            _raise_if_any(folder, _metadata_errors(folder, manifest, predictor, precision))
            differences[precision] = _differences(folder, predictor)
        num_samples = len(differences["fp32"])
    except UserError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder}: its metadata is incomplete or damaged ({type(error).__name__}: {error}); "
            f"{ADVICE}"
        ) from None
    return VerificationResult(
        variant=manifest["variant"],
        num_files=len(manifest["files"]) + 2,  # the manifest and the checksums
        num_samples=num_samples,
        max_difference={name: max(values) for name, values in differences.items()},
        manifest_sha256=sha256(folder / MANIFEST),
    )


def checksums(digests: dict[str, str]) -> str:
    """The text of SHA256SUMS for {file: digest}, in the format of `sha256sum`."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"{path} does not exist; without it nothing can be verified")
    manifest = read_json(path, ADVICE)
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if type(schema) is not int or schema < 1:
        raise UserError(
            f"{path} has no schema number; it is damaged, or not a manifest of this project"
        )
    if schema > SCHEMA:
        raise UserError(
            f"{path} has schema {schema}, and this version supports up to {SCHEMA}; "
            "install a newer version of this package"
        )
    return dict(manifest)


def _raise_if_any(folder: Path, errors: list[str]) -> None:
    if errors:
        listed = "\n".join(f"  {error}" for error in errors)
        raise UserError(f"{folder} differs from what its sender exported:\n{listed}")


def _file_errors(folder: Path, listed: dict[str, dict[str, Any]]) -> list[str]:
    """Files that are missing, were added or have changed."""
    present = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    }
    known = set(listed) | {MANIFEST, CHECKSUMS}
    errors = [f"{name}: is missing" for name in sorted(known - set(present))]
    errors += [f"{name}: is not in the manifest" for name in sorted(set(present) - known)]
    for name in sorted(known & set(present)):
        path = present[name]
        if path.is_symlink() or not path.is_file():
            errors.append(f"{name}: is not a plain file")
        elif name in listed:
            errors += _content_errors(name, path, listed[name])
    if not errors:
        digests = {name: entry["sha256"] for name, entry in listed.items()}
        text = checksums(digests | {MANIFEST: sha256(folder / MANIFEST)})
        if (folder / CHECKSUMS).read_bytes() != text.encode():
            errors.append(f"{MANIFEST} and {CHECKSUMS} do not match: one of them was changed")
    return errors


def _content_errors(name: str, path: Path, entry: dict[str, Any]) -> list[str]:
    num_bytes = path.stat().st_size
    if num_bytes != entry["bytes"]:
        return [f"{name}: has {num_bytes:,} bytes, expected {entry['bytes']:,}"]
    digest = sha256(path)
    if digest != entry["sha256"]:
        return [f"{name}: has SHA-256 {digest}, expected {entry['sha256']}"]
    return []


def _metadata_errors(
    folder: Path, manifest: dict[str, Any], predictor: Predictor, precision: str
) -> list[str]:
    """Values in which the model file differs from the manifest and labels.json."""
    ((model_input,), outputs) = predictor.session.get_inputs(), predictor.session.get_outputs()
    values = {
        "variant": (predictor.variant, manifest["variant"]),
        "precision": (predictor.precision, precision),
        "classes": (predictor.classes, read_json(folder / "labels.json", ADVICE)),
        "preprocessing": (predictor.preprocessing, manifest["preprocessing"]),
        "provenance": (predictor.provenance, manifest["provenance"]),
        "input": (
            [model_input.name, model_input.type, model_input.shape],
            [
                manifest["input"]["name"],
                f"tensor({manifest['input']['type']})",
                manifest["input"]["shape"],
            ],
        ),
        "outputs": (
            {output.name: output.shape for output in outputs},
            {name: output["shape"] for name, output in manifest["outputs"].items()},
        ),
    }
    return [
        f"{name}: {MODEL_FILENAMES[precision]} has {actual}, the folder has {expected}"
        for name, (actual, expected) in values.items()
        if actual != expected
    ]


def expected_outputs_path(precision: str) -> str:
    """The file with the expected outputs of a precision for the samples, within the folder."""
    return "samples/expected.json" if precision == "fp32" else f"samples/expected.{precision}.json"


def _differences(folder: Path, predictor: Predictor) -> list[float]:
    """The largest difference of each sample's probabilities from the expected ones.

    Raises UserError for a difference above the tolerance or another label.
    """
    expected = read_json(folder / expected_outputs_path(predictor.precision), ADVICE)
    allowed = MAX_DIFFERENCE[predictor.precision]
    if not expected:
        raise UserError(f"{folder} has no samples to check its model against")
    differences, errors = [], []
    for row in expected:
        image = predictor.prepare(folder / "samples" / row["file"])
        probabilities = predictor.run(image[None])[0]
        reference = np.array([row["probabilities"][name] for name in predictor.classes])
        difference = float(np.abs(probabilities - reference).max())
        label = predictor.classes[int(probabilities.argmax())]
        # Of two classes with nearly equal probabilities, either may come first.
        margin = probabilities.max() - probabilities[predictor.classes.index(row["label"])]
        # not (a <= b): NaN must not pass.
        if not difference <= allowed or margin > 2 * allowed:
            errors.append(
                f"samples/{row['file']}: expected {row['label']}, {predictor.precision} gives "
                f"{label}; largest difference of a probability {difference:.1e} "
                f"(tolerance {allowed:.0e})"
            )
        differences.append(difference)
    _raise_if_any(folder, errors)
    return differences
