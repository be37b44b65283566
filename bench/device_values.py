"""Logits and gradients of the GPU against those of the CPU: a part of `bench.device`."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet.evaluation.evaluate import logits_of
from alexnet.network.inputs import centre_crop, normalise
from alexnet.network.model import AlexNet
from alexnet.network.weights import load_weights, save_weights
from alexnet.training.device import DeviceConfig
from alexnet.training.loader import Split
from bench.device_setup import Bench, Setup
from bench.parts import Recorder

# Of logits, float32 on both sides: rounding gives about 1e-5, TF32 about 1e-2.
MAX_LOGIT_DIFFERENCE = 1e-3
# Of a layer's gradient, the norm of the difference as a share of its own. In bfloat16, of 8 bits, a
# unit near 0 or one of two equal maxima may pass the gradient on elsewhere: 0.14 between two
# types on a CPU.
MAX_GRADIENT_DIFFERENCE = {torch.float32: 0.01, torch.bfloat16: 0.3}
NUM_IMAGES = 64  # whose gradients are compared


def evaluation(setup: Setup, recorder: Recorder) -> None:
    """Logits in full precision: PyTorch on the GPU against onnxruntime on the CPU."""
    from alexnet.export.graph import run_onnx, write_onnx

    bench = Bench(setup)
    path = setup.work / "weights.safetensors"
    if not path.exists():
        save_weights(path, bench.trainer().model.cpu(), bench.metadata)
    model, found = load_weights(path)
    images = bench.val.images[:200] if setup.is_rehearsal else bench.val.images
    batch_size, opset = setup.params.evaluate.batch_size, setup.params.export.opset
    on_gpu = logits_of(model, found, images, bench.device, batch_size).numpy()
    onnx = setup.work / "model.onnx"
    write_onnx(onnx, model, found, {}, opset=opset, collapse_fc1=False)
    on_cpu = run_onnx(onnx, images.numpy(), batch_size)["logits"]
    largest = float(np.abs(on_gpu - on_cpu).max())
    labels = int((on_gpu.argmax(axis=1) != on_cpu.argmax(axis=1)).sum())
    recorder.add(
        num_images=len(images),
        max_logit_difference=largest,
        largest_logit=float(np.abs(on_cpu).max()),
        num_labels_differing=labels,
    )
    recorder.check(
        "logits as onnxruntime's",
        largest <= MAX_LOGIT_DIFFERENCE,  # false for NaN
        f"they differ by {largest:.2e} at most ({MAX_LOGIT_DIFFERENCE:.0e} is allowed), "
        f"{labels} of {len(images)} labels differ",
    )
    compare_gradients(bench, model, recorder)


def compare_gradients(bench: Bench, model: AlexNet, recorder: Recorder) -> None:
    """One batch without dropout: float32 on the CPU against both types on the GPU."""
    images = centre_crop(bench.val.images[:NUM_IMAGES], bench.metadata.image_size)
    x = normalise(images, bench.metadata.mean, bench.metadata.std)
    batch = Split(x, bench.val.labels[:NUM_IMAGES])
    expected = gradients_of(model, batch, DeviceConfig(torch.device("cpu"), torch.float32))
    for dtype, limit in MAX_GRADIENT_DIFFERENCE.items():
        found = gradients_of(model, batch, DeviceConfig(bench.device, dtype))
        shares = {
            name: float((found[name] - gradient).norm() / gradient.norm())
            for name, gradient in expected.items()
        }
        worst = max(shares, key=lambda name: shares[name])
        name = str(dtype).removeprefix("torch.")
        recorder.add(**{f"gradient_difference_{name}": shares})
        recorder.check(
            f"gradients in {name} as the CPU's",
            all(share <= limit for share in shares.values()),  # false for NaN
            f"{worst} by {shares[worst]:.2e} of its norm ({limit:.0e} is allowed)",
        )


def gradients_of(model: AlexNet, batch: Split, device_config: DeviceConfig) -> dict[str, Tensor]:
    """The gradient of the mean loss by parameter, on the CPU. batch: normalised, on the CPU."""
    model.to(device_config.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    model.zero_grad()
    on_device = batch.to(device_config.device)
    with device_config.autocast():
        logits = model(on_device.images)
    F.cross_entropy(logits.float(), on_device.labels).backward()
    return {
        name: parameter.grad.to("cpu", copy=True)
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
