"""config.pbtxt: a valid ModelConfig of Triton's schema that fits the model, in each precision."""

import re
import shutil
import subprocess

import onnxruntime
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from alexnet.inference.predictor import MODEL_FILENAMES
from tests.conftest import ROOT

Field = descriptor_pb2.FieldDescriptorProto

# The part of Triton's model_config.proto (package `inference`) that is used here, with its
# field numbers: {message: {field: (number, type, repeated)}}.
SCHEMA = {
    "ModelDynamicBatching": {
        "preferred_batch_size": (1, "int32", True),
        "max_queue_delay_microseconds": (2, "uint64", False),
    },
    "ModelInput": {
        "name": (1, "string", False),
        "data_type": (2, "DataType", False),
        "dims": (4, "int64", True),
    },
    "ModelOutput": {
        "name": (1, "string", False),
        "data_type": (2, "DataType", False),
        "dims": (3, "int64", True),
        "label_filename": (4, "string", False),
    },
    "ModelConfig": {
        "name": (1, "string", False),
        "max_batch_size": (4, "int32", False),
        "input": (5, "ModelInput", True),
        "output": (6, "ModelOutput", True),
        "default_model_filename": (8, "string", False),
        "dynamic_batching": (11, "ModelDynamicBatching", False),
        "backend": (17, "string", False),
    },
}
DATA_TYPES = {"TYPE_INVALID": 0, "TYPE_UINT8": 2, "TYPE_FP32": 11}
ONNX_TYPES = {"tensor(uint8)": 2, "tensor(float)": 11}


def model_config():
    """An empty ModelConfig."""
    file = descriptor_pb2.FileDescriptorProto(
        name="model_config.proto", package="inference", syntax="proto3"
    )
    numbers = file.enum_type.add(name="DataType")
    for name, number in DATA_TYPES.items():
        numbers.value.add(name=name, number=number)
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if kind in SCHEMA or kind == "DataType":
                added.type = Field.TYPE_ENUM if kind == "DataType" else Field.TYPE_MESSAGE
                added.type_name = f".inference.{kind}"
            else:
                added.type = Field.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("inference.ModelConfig")
    return message_factory.GetMessageClass(found)()


@pytest.fixture(scope="module")
def repository(tmp_path_factory, in_all_precisions):
    """A model repository, made of an artifact by the lines of docs/artifact.md."""
    folder = tmp_path_factory.mktemp("triton")
    shutil.copytree(in_all_precisions, folder / "artifacts")
    section = (ROOT / "docs" / "artifact.md").read_text().split("## In Triton")[1]
    blocks = re.findall("```bash\n(.*?)```", section, re.DOTALL)
    subprocess.run(["bash", "-euc", "".join(blocks)], cwd=folder, check=True)
    shutil.rmtree(folder / "artifacts")
    return folder / "triton"


def test_each_precision_is_a_model_with_a_config_that_fits_it(repository):
    names = {"alexnet": "fp32", "alexnet-fp16": "fp16", "alexnet-int8": "int8"}
    assert {path.name for path in repository.iterdir()} == set(names)
    for name, precision in names.items():
        folder = repository / name
        config = text_format.Parse((folder / "config.pbtxt").read_text(), model_config())
        assert (config.name, config.backend) == (name, "onnxruntime")
        assert config.default_model_filename == MODEL_FILENAMES[precision]
        assert [path.name for path in folder.glob("1/*")] == [config.default_model_filename]
        assert config.max_batch_size > 1
        assert config.dynamic_batching.max_queue_delay_microseconds == 1000
        session = onnxruntime.InferenceSession(folder / "1" / config.default_model_filename)
        for configured, actual in (
            (config.input, session.get_inputs()),
            (config.output, session.get_outputs()),
        ):
            assert [tensor.name for tensor in configured] == [tensor.name for tensor in actual]
            for tensor, expected in zip(configured, actual, strict=True):
                assert tensor.data_type == ONNX_TYPES[expected.type]
                assert ["batch", *tensor.dims] == expected.shape
