"""What an exported artifact says of itself: manifest.json.

Everything that a manifest of this schema may say is listed here; another key is an error. `data`,
`metrics`, `verification`, `warm_start` and the figures of a precision are what its sender has
measured or recorded; nobody can repeat it without the data. All else is compared with the files.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from alexnet.errors import UserError
from alexnet.escape import for_terminal
from alexnet.files import (
    Count,
    Finite,
    NotNegative,
    Sha256,
    Share,
    explain_validation,
    read_small_text,
    shorten,
)
from alexnet.inference.predictor import MODEL_FILENAMES, REJECTION
from alexnet.inference.statement import STATEMENT, Strict

SCHEMA = 3
MANIFEST = "manifest.json"
CHECKSUMS = "SHA256SUMS"
LABELS = "labels.json"
MAX_BYTES = 1 << 22  # that of a thousand classes has half a million
MAX_REASON = 300  # characters of what is wrong
ADVICE = "ask its sender for it again"

# Enough for ten thousand classes. To explain what is wrong in millions takes gigabytes.
MAX_VALUES = 200_000
# The files that an export writes, beside the manifest and the checksums. None has a name that a
# program would take for its own, such as numpy.py.
ARTIFACT_FILE = (
    r"model(\.fp16|\.int8)?\.onnx|config(\.fp16|\.int8)?\.pbtxt|labels\.json|MODEL_CARD\.md"
    r"|provenance\.intoto\.json|samples/([0-9]+\.(png|jpg)|expected(\.fp16|\.int8)?\.json)"
)
# What an export replaces. A signature among an artifact's files is one of the artifact it lies in.
WRITTEN = re.compile(rf"{ARTIFACT_FILE}|{MANIFEST}|{CHECKSUMS}|{REJECTION}|[^/]+\.sig")
FileName = Annotated[str, Field(pattern=f"^({ARTIFACT_FILE})$", max_length=255)]
NumBytes = Annotated[int, Field(ge=0, lt=2**53)]
Json = dict[str, JsonValue]
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class FileEntry(Strict):
    """A file of the folder."""

    bytes: NumBytes
    sha256: Sha256


@dataclass(frozen=True)
class PrecisionEntry(Strict):
    """A model file, and what its sender measured."""

    file: FileName
    bytes: NumBytes
    accuracy: Share
    accuracy_drop: Finite
    label_change_rate: Share
    max_logit_difference: NotNegative


@dataclass(frozen=True)
class Tensor(Strict):
    """A tensor of the graph; a text in its shape is the name of a size that is free."""

    type: Literal["uint8", "int64", "float32"]
    shape: Annotated[list[int | str], Field(max_length=8)]


@dataclass(frozen=True)
class Input(Tensor):
    """The one input of the graph."""

    name: str
    layout: Literal["NHWC, as decoded from a file, 0 to 255"]


@dataclass(frozen=True)
class Manifest(Strict):
    """The contents of manifest.json."""

    schema: Literal[3]
    variant: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
    parameters: Count
    fc1_collapsed: bool
    opset: Count
    ir_version: Count
    precisions: dict[Literal["fp32", "fp16", "int8"], PrecisionEntry]
    preprocessing: Json
    input: Input
    outputs: dict[str, Tensor]
    num_samples: Count
    data: Json
    metrics: Json
    verification: Json
    provenance: Json
    files: Annotated[dict[FileName, FileEntry], Field(max_length=1000)]
    warm_start: Json | None = None  # what training started from, if not from nothing

    def __post_init__(self) -> None:
        if self.outputs.keys() != {"logits", "probabilities"}:
            raise ValueError("outputs: are not logits and probabilities")
        if "fp32" not in self.precisions:
            raise ValueError("precisions: fp32 is missing")
        needed = {LABELS, STATEMENT, *map(expected_outputs_path, self.precisions)}
        if missing := needed - self.files.keys():
            raise ValueError(f"files: {', '.join(sorted(missing))} is missing")
        for precision, row in self.precisions.items():
            entry = self.files.get(row.file)
            if row.file != MODEL_FILENAMES[precision] or entry is None or entry.bytes != row.bytes:
                raise ValueError(
                    f"precisions: {precision} is no model of that name and size in files"
                )
        models = {row.file for row in self.precisions.values()}
        if others := {name for name in self.files if name.endswith(".onnx")} - models:
            raise ValueError(f"files: {', '.join(sorted(others))} is in no precision")
        if self.num_samples != len(self.samples):
            raise ValueError(f"num_samples: samples/ has {len(self.samples)} images")

    @property
    def samples(self) -> set[str]:
        """The names in samples/ of its images: of all that is there but the expected outputs."""
        expected = set(map(expected_outputs_path, self.precisions))
        inside = {name for name in self.files if name.startswith("samples/")} - expected
        return {name.removeprefix("samples/") for name in inside}


def expected_outputs_path(precision: str) -> str:
    """The file with the expected outputs of a precision for the samples, within the folder."""
    return "samples/expected.json" if precision == "fp32" else f"samples/expected.{precision}.json"


def checksums(digests: dict[str, str]) -> str:
    """The text of SHA256SUMS for {file: digest}, in the format of `sha256sum`."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def read_manifest(folder: Path) -> Manifest:
    """Raises UserError if the folder's manifest is missing, damaged, or of another schema."""
    path = folder / MANIFEST
    if not path.exists():
        raise UserError(f"{path} does not exist; without it nothing can be verified")
    text = read_small_text(path, MAX_BYTES)
    if text.count(",") > MAX_VALUES:
        raise UserError(f"{path} has more than {MAX_VALUES:,} values; it is no manifest of ours")
    value = _parse(text, path)
    schema = value.get("schema") if isinstance(value, dict) else None
    if type(schema) is not int or schema < 1:
        raise UserError(
            f"{path} has no schema number; it is damaged, or not a manifest of this project"
        )
    if schema != SCHEMA:
        version = "a newer version" if schema > SCHEMA else "the version that wrote it"
        raise UserError(
            f"{path} has schema {schema}, and this version of alexnet reads {SCHEMA}; "
            f"install {version}"
        )
    return _validate(text, Manifest, path)


def read_strict(path: Path, kind: type[Kind], max_bytes: int) -> Kind:
    """A JSON file as `kind`, of exact types. Raises UserError that names what is wrong in it."""
    text = read_small_text(path, max_bytes)
    _parse(text, path)
    return _validate(text, kind, path)


def _validate(text: str, kind: type[Kind], path: Path) -> Kind:
    try:
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        reason = for_terminal(shorten(explain_validation(error), MAX_REASON))
        raise UserError(f"{path}: {reason}; {ADVICE}") from None


def _parse(text: str, path: Path) -> Any:
    """Raises UserError if it is no JSON, or holds NaN or a key twice, where readers differ."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        reason = for_terminal(shorten(str(error), MAX_REASON))
        raise UserError(f"{path}: is not valid JSON ({reason}); {ADVICE}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError(f"a key is there twice in {{{', '.join(value)}}}")
    return value


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")
