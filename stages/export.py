"""export: the folder that is handed over."""

from pathlib import Path

from alexnet import config
from alexnet.errors import UserError
from alexnet.files import read_json, sha256, write_json
from stages import paths
from stages.command import PARAMS, ParamsFile, run


def export(params: ParamsFile = PARAMS) -> None:
    """Write the model that passed the gate as ONNX and verify it against PyTorch."""
    values = config.load(params).export
    verdict = read_json(paths.GATE)
    if not verdict["passed"]:
        raise UserError(f"the model did not pass the gate ({paths.GATE}); nothing is exported")
    digest = sha256(paths.WEIGHTS)
    if verdict["weights_sha256"] != digest:
        raise UserError(
            f"{paths.GATE} is of other weights than {paths.WEIGHTS}; run evaluate and gate again"
        )

    from alexnet.data.dataset import load_meta, load_split
    from alexnet.handoff import hand_over
    from alexnet.provenance import installed_lock, provenance
    from alexnet.weights import load_weights

    model, card = load_weights(paths.WEIGHTS)
    images, labels = load_split(paths.PROCESSED, "test")
    meta = load_meta(paths.PROCESSED)
    metrics = {k: v for k, v in read_json(paths.METRICS).items() if k != "weights_sha256"}
    origin = provenance(
        Path(),
        {
            "data_source": meta.source_sha256,
            "test_images": sha256(paths.PROCESSED / "test.safetensors"),
            "params": sha256(params),
            "requirements": installed_lock(paths.LOCK),
            "weights": digest,
        },
    )
    data = {
        "name": meta.title,
        "kind": meta.name,
        "counts": meta.counts,
        "duplicates": meta.duplicates,
    }
    proof = hand_over(paths.ARTIFACTS, model, card, images, labels, metrics, data, origin, values)
    write_json(paths.EXPORT_METRICS, proof)
    print(
        f"{paths.ARTIFACTS / 'model.onnx'} ({proof['model_bytes'] / 1e6:.1f} MB): the same label "
        f"as PyTorch on all {proof['num_images']:,} test images, largest logit difference "
        f"{proof['max_logit_difference']:.1e}"
    )


if __name__ == "__main__":
    run(export)
