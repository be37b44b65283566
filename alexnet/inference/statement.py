"""The provenance of an artifact as an in-toto statement with SLSA's predicate.

It says in the field's form what the manifest's `provenance` says, about each of the files
(https://in-toto.io/Statement/v1, https://slsa.dev/provenance/v1; docs/artifact.md describes the
build type). Since it is a function of the manifest, a receiver can compare the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter

from alexnet.files import Sha256

STATEMENT = "provenance.intoto.json"
BUILD_TYPE = "urn:x-alexnet:dvc-repro:1"
UNKNOWN_BUILDER = "urn:x-alexnet:builder:unknown"


class Strict:
    """Of a dataclass that is read from an object without other keys than its fields."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Provenance(Strict):
    """The manifest's `provenance`: where a model comes from, as far as it is known."""

    revision: Annotated[str, Field(pattern="^[0-9a-f]{7,64}$")] | None
    dirty: bool | None
    sha256: dict[str, Sha256 | None]  # of what it was made from
    container_image: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")] | None = None
    builder: str | None = None  # the address of the workflow
    versions: dict[str, str] = field(default_factory=dict)
    params: dict[str, JsonValue] = field(default_factory=dict)


def statement_of(provenance: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, Any]:
    """The statement about files with `digests` (SHA-256).

    Raises pydantic's ValidationError if `provenance` has not the form of `Provenance`.
    """
    origin = TypeAdapter(Provenance).validate_python(provenance)
    known = {
        name: _resource(name, sha256=digest) for name, digest in origin.sha256.items() if digest
    }
    byproducts = [known.pop("weights")] if "weights" in known else []
    dependencies = list(known.values())
    if origin.revision:
        source = _resource("source", gitCommit=origin.revision)
        dependencies.append(source | {"annotations": {"dirty": origin.dirty}})
    if origin.container_image:
        digest = origin.container_image.removeprefix("sha256:")
        dependencies.append(_resource("container_image", sha256=digest))
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [_resource(name, sha256=digest) for name, digest in sorted(digests.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"params": origin.params},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": origin.builder or UNKNOWN_BUILDER, "version": origin.versions},
                "byproducts": byproducts,
            },
        },
    }


def _resource(name: str, **digest: str) -> dict[str, Any]:
    return {"name": name, "digest": digest}
