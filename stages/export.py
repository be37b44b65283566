"""export: the model as ONNX, with its manifest, card and samples."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alexnet import config
from alexnet.evaluation.gate import Verdict, verdict_on
from alexnet.evaluation.results import read_metrics
from alexnet.files import remove_directory, sha256, write_json, write_text
from alexnet.inference.manifest import WRITTEN
from alexnet.inference.predictor import REJECTION
from stages import paths
from stages.command import run
from stages.params import load, read_records
from stages.paths import PARAMS, ParamsFile

logger = logging.getLogger("stages.export")


def export(params: ParamsFile = PARAMS) -> None:
    """Write the model that passed the gate as ONNX and verify it against PyTorch."""
    values = load(params).export
    verdict = verdict_on(paths.WEIGHTS, paths.GATE)
    if not verdict.passed:
        return _explain_rejection(verdict)
    metrics = read_metrics(paths.METRICS).as_dict()
    del metrics["weights_sha256"]  # it is in the provenance

    from alexnet.data.dataset import load_meta, load_split
    from alexnet.evaluation.evaluate import read_predictions
    from alexnet.evaluation.warm_start import read_warm_start
    from alexnet.export.bundle import export_bundle
    from alexnet.export.provenance import installed_lock, provenance
    from alexnet.network.weights import load_weights
    from alexnet.training.device import configure_torch

    # DVC leaves this folder to us. If the export fails, no earlier model's artifact is left.
    remove_directory(paths.ARTIFACTS, WRITTEN.fullmatch)
    configure_torch()
    model, metadata = load_weights(paths.WEIGHTS)
    images, labels = load_split(paths.PROCESSED, "test")
    calibration_images, _ = load_split(paths.PROCESSED, "train")
    meta = load_meta(paths.PROCESSED)
    start = read_warm_start(paths.WARM_START)
    origin = provenance(
        Path(),
        {
            "data_source": meta.source_sha256,
            "test_images": sha256(paths.PROCESSED / "test.safetensors"),
            "requirements": installed_lock(paths.LOCK),
            "weights": verdict.weights_sha256,
            **({"pretrained": start.parent.sha256} if start else {}),
            **_calibration(values),
        },
    )
    origin["params"] = read_records()
    data = {
        "name": meta.title,
        "kind": meta.name,
        "counts": meta.counts,
        "duplicates": meta.duplicates,
    }
    results = export_bundle(
        paths.ARTIFACTS,
        model,
        metadata,
        images,
        labels,
        resize=meta.resize,
        calibration_images=calibration_images,
        metrics=metrics,
        predictions=read_predictions(paths.PREDICTIONS, metadata.classes),
        data=data,
        provenance=origin,
        params=values,
        warm_start=asdict(start) if start else None,
    )
    write_json(paths.EXPORT_METRICS, {"exported": True} | results)
    for row in results["precisions"].values():
        logger.info(_precision_text(row))
    logger.info(
        f"{paths.ARTIFACTS / 'model.onnx'}: the same label as PyTorch on "
        f"{results['num_images'] - results['num_labels_differing']:,} of "
        f"{results['num_images']:,} test images, largest logit difference "
        f"{results['max_logit_difference']:.1e}"
    )


def _explain_rejection(verdict: Verdict) -> None:
    """Leave the reason in place of an artifact: an earlier model's would pass for this one's."""
    remove_directory(paths.ARTIFACTS, WRITTEN.fullmatch)
    write_text(
        paths.ARTIFACTS / REJECTION,
        f"The model with the weights {verdict.weights_sha256} did not pass the gate:\n{verdict}\n",
    )
    write_json(paths.EXPORT_METRICS, {"exported": False})
    logger.warning(f"the model did not pass the gate: {paths.ARTIFACTS / REJECTION} in its place")


def _calibration(values: config.Export) -> dict[str, str]:
    """The digest of the images that calibrate int8; slow for many images, so only then."""
    if "int8" not in values.precisions:
        return {}
    return {"train_images": sha256(paths.PROCESSED / "train.safetensors")}


def _precision_text(row: dict[str, Any]) -> str:
    file = f"{paths.ARTIFACTS / row['file']} ({row['bytes'] / 1e6:.1f} MB)"
    if "rejected_reason" in row:
        return f"{file} is rejected: {row['rejected_reason']}"
    return (
        f"{file}: accuracy {row['accuracy']:.2%}, {row['label_change_rate']:.2%} of the labels "
        "differ from float32"
    )


if __name__ == "__main__":
    run(export)
