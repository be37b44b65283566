"""Whether a folder that was handed over is whole and does what it says, seen by its receiver.

Needs onnxruntime, numpy and Pillow, no PyTorch. The manifest holds the digest of every
other file and SHA256SUMS that of the manifest too, so that no byte of the folder can
change unnoticed, and `sha256sum --check SHA256SUMS` finds it without this package.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.errors import UserError
from alexnet.files import sha256
from alexnet.inference.predictor import MODEL_FILENAMES, Predictor

SCHEMA = 1
MANIFEST = "manifest.json"
CHECKSUMS = "SHA256SUMS"
# Of a sample's probability. Other processors round otherwise, and a probability moves at
# most half as far as a logit. In fewer bits a value may be rounded to its other neighbour.
MAX_DIFFERENCE = {"fp32": 1e-4, "fp16": 1e-2, "int8": 5e-2}


@dataclass(frozen=True)
class VerificationResult:
    """What was found to be in order."""

    variant: str
    num_files: int
    num_samples: int
    max_difference: dict[str, float]  # of a sample's probability, by precision
    manifest_sha256: str


def verify(folder: Path) -> VerificationResult:
    """Hold a folder to its own manifest, and its model to its own samples.

    Raises UserError that lists everything that is not as it should be.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the one that was handed over")
    manifest = _manifest(folder)
    try:
        _raise(folder, _wrong_files(folder, manifest["files"]))
        differences = {}
        for precision in manifest["precisions"]:
            predictor = Predictor(folder, precision)
            _raise(folder, _wrong_facts(folder, manifest, predictor, precision))
            differences[precision] = _differences(folder, predictor)
        num_samples = len(differences["fp32"])
    except UserError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder} does not say of itself what it has to ({type(error).__name__}: {error}); "
            "ask its sender for it again"
        ) from None
    return VerificationResult(
        variant=manifest["variant"],
        num_files=len(manifest["files"]) + 2,  # the manifest and the checksums
        num_samples=num_samples,
        max_difference={name: max(values) for name, values in differences.items()},
        manifest_sha256=sha256(folder / MANIFEST),
    )


def checksums(digests: dict[str, str]) -> str:
    """The text of SHA256SUMS, as `sha256sum` itself would write it."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"{path} does not exist; without it nothing can be verified")
    manifest = _json(path)
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if type(schema) is not int or schema < 1:
        raise UserError(f"{path} names no schema; it is damaged, or not of a model of ours")
    if schema > SCHEMA:
        raise UserError(
            f"{path} has schema {schema}, and this version knows {SCHEMA} at most; "
            "install a newer version of this package"
        )
    return dict(manifest)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # UnicodeDecodeError is one too
        raise UserError(f"{path} is damaged: it is not valid JSON ({error})") from None


def _raise(folder: Path, faults: list[str]) -> None:
    if faults:
        listed = "\n".join(f"  {fault}" for fault in faults)
        raise UserError(f"{folder} is not what its sender made:\n{listed}")


def _wrong_files(folder: Path, listed: dict[str, dict[str, Any]]) -> list[str]:
    """What is missing, was added or has changed."""
    present = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    }
    known = set(listed) | {MANIFEST, CHECKSUMS}
    faults = [f"{name}: is missing" for name in sorted(known - set(present))]
    faults += [f"{name}: is not in the manifest" for name in sorted(set(present) - known)]
    for name in sorted(known & set(present)):
        path = present[name]
        if path.is_symlink() or not path.is_file():
            faults.append(f"{name}: is not a plain file")
        elif name in listed:
            faults += _wrong_content(name, path, listed[name])
    if not faults:
        digests = {name: entry["sha256"] for name, entry in listed.items()}
        text = checksums(digests | {MANIFEST: sha256(folder / MANIFEST)})
        if (folder / CHECKSUMS).read_bytes() != text.encode():
            faults.append(f"{MANIFEST} and {CHECKSUMS} contradict each other: one was changed")
    return faults


def _wrong_content(name: str, path: Path, entry: dict[str, Any]) -> list[str]:
    num_bytes = path.stat().st_size
    if num_bytes != entry["bytes"]:
        return [f"{name}: has {num_bytes:,} bytes, the manifest says {entry['bytes']:,}"]
    digest = sha256(path)
    if digest != entry["sha256"]:
        return [f"{name}: has SHA-256 {digest}, the manifest says {entry['sha256']}"]
    return []


def _wrong_facts(
    folder: Path, manifest: dict[str, Any], predictor: Predictor, precision: str
) -> list[str]:
    """Where model, manifest and labels say different things of the same model."""
    ((given,), outputs) = predictor.session.get_inputs(), predictor.session.get_outputs()
    facts = {
        "variant": (predictor.variant, manifest["variant"]),
        "precision": (predictor.precision, precision),
        "classes": (predictor.classes, _json(folder / "labels.json")),
        "preprocessing": (predictor.preprocessing, manifest["preprocessing"]),
        "provenance": (predictor.provenance, manifest["provenance"]),
        "input": (
            [given.name, given.type, given.shape],
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
        f"{name}: {MODEL_FILENAMES[precision]} says {said}, the folder says {expected}"
        for name, (said, expected) in facts.items()
        if said != expected
    ]


def expected_outputs_path(precision: str) -> str:
    """The file that says what the model in that precision makes of the samples."""
    return "samples/expected.json" if precision == "fp32" else f"samples/expected.{precision}.json"


def _differences(folder: Path, predictor: Predictor) -> list[float]:
    """The largest difference of each sample's probabilities; raises UserError if one is too far."""
    expected = _json(folder / expected_outputs_path(predictor.precision))
    allowed = MAX_DIFFERENCE[predictor.precision]
    if not expected:
        raise UserError(f"{folder} has no samples to hold its model to")
    differences, faults = [], []
    for row in expected:
        image = predictor.prepare(folder / "samples" / row["file"])
        probabilities = predictor.run(image[None])[0]
        wanted = np.array([row["probabilities"][name] for name in predictor.classes])
        difference = float(np.abs(probabilities - wanted).max())
        label = predictor.classes[int(probabilities.argmax())]
        behind = probabilities.max() - probabilities[predictor.classes.index(row["label"])]
        # Of two that are nearly equal, either may be ahead.
        # not (a <= b): a difference that is not a number must not pass.
        if not difference <= allowed or behind > 2 * allowed:
            faults.append(
                f"samples/{row['file']}: should be {row['label']}, is {label} in "
                f"{predictor.precision}; a probability differs by {difference:.1e} "
                f"(at most {allowed:.0e})"
            )
        differences.append(difference)
    _raise(folder, faults)
    return differences
