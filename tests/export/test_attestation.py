"""The provenance statement, read by the in-toto project's library as by any other receiver."""

import hashlib
import json

import pytest
from google.protobuf.json_format import Parse, ParseDict
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as Message

from tests.artifacts import export_small

ORIGIN = {
    "revision": "1" * 40,
    "dirty": True,
    "container_image": "sha256:" + "2" * 64,
    "builder": "https://github.com/a/b/.github/workflows/retrain.yml@refs/heads/main",
    "sha256": {"data_source": "3" * 64, "requirements": None, "weights": "4" * 64},
    "versions": {"torch": "2.14.1"},
    "params": {"train": {"epochs": 3, "learning_rate": 0.125}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("stated")
    return export_small(place / "artifacts", given={"provenance": ORIGIN})


def test_it_states_the_provenance_of_every_file(folder):
    statement = Parse((folder / "provenance.intoto.json").read_text(), Message())
    Statement.copy_from_pb(statement).validate()
    own = {"manifest.json", "SHA256SUMS", "provenance.intoto.json"}
    assert {subject.name: subject.digest["sha256"] for subject in statement.subject} == {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and file.name not in own
    }
    assert statement.predicate_type == "https://slsa.dev/provenance/v1"
    predicate = json.loads((folder / "provenance.intoto.json").read_text())["predicate"]
    provenance = ParseDict(predicate, Provenance())
    build = provenance.build_definition
    assert build.external_parameters["params"]["train"]["learning_rate"] == 0.125
    dependencies = {entry.name: dict(entry.digest) for entry in build.resolved_dependencies}
    assert dependencies == {
        "data_source": {"sha256": "3" * 64},
        "source": {"gitCommit": "1" * 40},
        "container_image": {"sha256": "2" * 64},
    }
    assert build.resolved_dependencies[1].annotations["dirty"] is True
    assert provenance.run_details.builder.id == ORIGIN["builder"]
    assert provenance.run_details.builder.version["torch"] == "2.14.1"
    assert [entry.digest["sha256"] for entry in provenance.run_details.byproducts] == ["4" * 64]
