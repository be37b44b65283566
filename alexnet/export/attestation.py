"""Write the provenance statement of an artifact, checked by the library of the in-toto project."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from alexnet.files import sha256, write_json
from alexnet.inference.statement import STATEMENT, statement_of


def write_statement(folder: Path, provenance: Mapping[str, Any]) -> None:
    """Write the statement about all files in `folder`, which has no manifest yet.

    Raises the library's errors if it has not the form of an in-toto statement or of SLSA's
    predicate: that would be our defect.
    """
    files = (file for file in folder.rglob("*") if file.is_file())
    digests = {file.relative_to(folder).as_posix(): sha256(file) for file in files}
    statement = statement_of(provenance, digests)
    Statement.copy_from_pb(ParseDict(statement, statement_pb2.Statement())).validate()
    ParseDict(statement["predicate"], provenance_pb2.Provenance())
    write_json(folder / STATEMENT, statement)
