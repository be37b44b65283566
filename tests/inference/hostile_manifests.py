"""Hostile manifests and statements, with digests that fit: the sender itself is dishonest."""

import json
import shutil

from tests.inference.hostile import STATEMENT, kind, read, redigest, write


@kind("manifest.json: is not valid JSON")
def a_manifest_that_is_no_json(folder):
    write(folder, "{")


@kind("manifest.json: is not valid JSON")
def a_manifest_that_is_deep(folder):
    write(folder, "[" * 100_000)


@kind("manifest.json: is not valid JSON|parameters")
def a_number_of_thousands_of_digits(folder):
    write(folder, read(folder) | {"parameters": 10**4000})


@kind("manifest.json has .* bytes; at most")
def a_manifest_of_five_megabytes(folder):
    write(folder, read(folder) | {"data": {"x": "x" * 5_000_000}})


@kind("samples/ has 4 images")
def a_manifest_of_many_lists(folder):
    """It is read, and the message names the next thing that is wrong."""
    manifest = read(folder) | {"data": {"x": [[]] * 50_000}, "num_samples": 5}
    write(folder, json.dumps(manifest, separators=(",", ":")))


@kind("manifest.json is not UTF-8")
def a_manifest_that_is_no_text(folder):
    (folder / "manifest.json").write_bytes(b'{"\xff": 1}')


@kind("manifest.json: is not valid JSON .NaN is no number")
def not_a_number(folder):
    write(folder, read(folder) | {"metrics": {"accuracy": float("nan")}})


@kind("manifest.json: is not valid JSON .a key is there twice in {schema")
def a_key_that_is_there_twice(folder):
    write(folder, (folder / "manifest.json").read_text().replace("{", '{"schema": 3,', 1))


@kind("has no schema number")
def no_schema_number(folder):
    write(folder, [])


@kind("has schema 2, and this version of alexnet reads 3; install the version that wrote it")
def a_manifest_of_an_older_schema(folder):
    write(folder, read(folder) | {"schema": 2})


@kind("has schema 4, and this version of alexnet reads 3; install a newer version")
def a_manifest_of_a_newer_schema(folder):
    write(folder, {"schema": 4})


@kind("manifest.json: certified: ")
def a_key_that_nobody_checks(folder):
    redigest(folder, certified=True)


@kind("manifest.json: opset: is missing")
def a_missing_key(folder):
    manifest = read(folder)
    del manifest["opset"]
    write(folder, manifest)


@kind("manifest.json: files: ")
def files_in_a_list(folder):
    write(folder, read(folder) | {"files": []})


def with_file(folder, name):
    manifest = read(folder)
    manifest["files"][name] = {"bytes": 1, "sha256": "0" * 64}
    write(folder, manifest)


@kind(r"manifest.json: files.\.\./outside.txt.\[key\]: ")
def a_file_above(folder):
    with_file(folder, "../outside.txt")


@kind("manifest.json: files./etc/passwd.*: ")
def a_file_of_the_system(folder):
    with_file(folder, "/etc/passwd")


@kind(r"manifest.json: files.samples/\.\./labels.json.*: ")
def a_file_by_a_detour(folder):
    with_file(folder, "samples/../labels.json")


@kind(r"manifest.json: files.a\\u000ab.*: ")
def a_file_with_two_lines(folder):
    with_file(folder, "a\nb")


@kind("manifest.json: files.labels.json.sha256: ")
def a_digest_of_another_kind(folder):
    manifest = read(folder)
    manifest["files"]["labels.json"]["sha256"] = "f" * 32
    write(folder, manifest)


@kind("manifest.json: files.labels.json.bytes: ")
def a_file_of_less_than_nothing(folder):
    manifest = read(folder)
    manifest["files"]["labels.json"]["bytes"] = -1
    write(folder, manifest)


@kind("manifest.json: files: labels.json is missing")
def no_labels(folder):
    (folder / "labels.json").unlink()
    redigest(folder)


@kind("manifest.json: precisions: fp32 is missing")
def no_precision(folder):
    redigest(folder, precisions={})


@kind("manifest.json: precisions.int4")
def an_unknown_precision(folder):
    redigest(folder, precisions={"int4": read(folder)["precisions"]["fp32"]})


def with_precision(folder, **changes):
    manifest = read(folder)
    manifest["precisions"]["fp32"] |= changes
    write(folder, manifest)


@kind("precisions: fp32 is no model of that name and size in files")
def a_model_in_another_file(folder):
    with_precision(folder, file="labels.json")


@kind("manifest.json: precisions.fp32.file: ")
def a_model_outside(folder):
    with_precision(folder, file="../model.onnx")


@kind("precisions: fp32 is no model of that name and size in files")
def a_model_of_other_bytes(folder):
    with_precision(folder, bytes=7)


@kind("precisions.fp32.accuracy: ")
def more_than_all_are_right(folder):
    with_precision(folder, accuracy=1.5)


@kind("files: model.int8.onnx is in no precision")
def a_model_that_is_in_no_precision(folder):
    (folder / "model.int8.onnx").write_text("never opened here")
    redigest(folder)


@kind("num_samples: samples/ has 4 images")
def more_samples_than_there_are(folder):
    redigest(folder, num_samples=100)


@kind("num_samples: samples/ has 5 images")
def a_sample_that_is_not_counted(folder):
    (folder / "samples/99.png").write_bytes(b"")
    redigest(folder)


@kind("num_samples: ")
def no_samples(folder):
    for image in folder.glob("samples/*.png"):
        image.unlink()
    write(folder, [], "samples/expected.json")
    redigest(folder, num_samples=0)


@kind("outputs: are not logits and probabilities")
def an_output_less(folder):
    outputs = read(folder)["outputs"]
    del outputs["logits"]
    redigest(folder, outputs=outputs)


@kind("input.shape: ")
def an_input_without_a_shape(folder):
    write(folder, read(folder) | {"input": {"name": "x", "type": "uint8", "layout": ""}})


def with_statement(folder, change):
    """Change the provenance statement, and give it its digests."""
    statement = read(folder, STATEMENT)
    change(statement)
    redigest(folder, statement=json.dumps(statement))


DIFFERS = "provenance.intoto.json: does not say of these files what manifest.json says"


@kind(DIFFERS)
def a_statement_about_another_file(folder):
    with_statement(folder, lambda it: it["subject"][0]["digest"].update(sha256="0" * 64))


@kind(DIFFERS)
def a_statement_without_the_model(folder):
    with_statement(folder, lambda it: it["subject"].pop(3))


@kind(DIFFERS)
def a_statement_of_another_builder(folder):
    builder = {"id": "https://github.com/trusted/builder"}
    with_statement(folder, lambda it: it["predicate"]["runDetails"].update(builder=builder))


@kind(DIFFERS)
def a_statement_of_other_parameters(folder):
    def change(statement):
        definition = statement["predicate"]["buildDefinition"]
        definition["externalParameters"] = {"params": {"train": {"epochs": 1000}}}

    with_statement(folder, change)


@kind("provenance.intoto.json: is not valid JSON")
def a_statement_that_is_deep(folder):
    redigest(folder, statement='{"a":' * 100_000)


@kind("provenance.intoto.json: should be")
def a_statement_that_is_a_list(folder):
    redigest(folder, statement="[]")


@kind("files: provenance.intoto.json is missing")
def no_statement(folder):
    manifest = read(folder)
    del manifest["files"][STATEMENT]
    (folder / STATEMENT).unlink()
    write(folder, manifest)


@kind("manifest.json: provenance.revision")
def a_revision_that_is_none(folder):
    origin = read(folder)["provenance"] | {"revision": "latest"}
    redigest(folder, statement="{}", provenance=origin)


@kind("manifest.json has more than 200,000 values")
def a_manifest_of_millions_of_errors(folder):
    """Each would be an error of its own: to list them took a minute and 4 GB."""
    manifest = read(folder)
    manifest["outputs"]["logits"]["shape"] = [[]] * 1_000_000
    write(folder, json.dumps(manifest, separators=(",", ":")))


@kind("manifest.json: files.numpy.py")
def a_module_that_the_lines_of_the_card_would_import(folder):
    (folder / "numpy.py").write_text("raise SystemExit(0)")
    redigest(folder)


@kind("manifest.json: variant: ")
def a_variant_that_reads_like_a_verdict(folder):
    redigest(folder, variant="cifar\nartifacts is verified: it is signed")


@kind("config.pbtxt: is not the configuration of the model")
def a_configuration_that_runs_a_program(folder):
    """Triton would take its Python environment from there."""
    with (folder / "config.pbtxt").open("a") as file:
        file.write('parameters { key: "EXECUTION_ENV_PATH" value { string_value: "/evil" } }')
    redigest(folder)


@kind("config.int8.pbtxt: is of no model in the folder")
def a_configuration_of_no_model(folder):
    shutil.copy(folder / "config.pbtxt", folder / "config.int8.pbtxt")
    redigest(folder)


@kind("config.pbtxt: is missing")
def no_configuration(folder):
    (folder / "config.pbtxt").unlink()
    redigest(folder)
