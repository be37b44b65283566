"""plot: pictures of the run, and the page that explains them."""

from typing import TYPE_CHECKING

from alexnet import config
from stages import paths
from stages.command import PARAMS, ParamsFile, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from alexnet.figures.draw import Run

NUM_AUGMENTED = 4
SETTINGS = ("data", "model", "train", "evaluate")  # what decided the run's figures


def plot(params: ParamsFile = PARAMS) -> None:
    """Draw the run: how it went, what it gets wrong, what goes on inside; and a page."""
    values = config.load(params)

    import time
    from dataclasses import asdict

    from alexnet import history
    from alexnet.figures.draw import draw_all
    from alexnet.figures.report import write_report
    from alexnet.files import read_json, replacing_folder

    start = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - start:5.1f} s  {line}", flush=True)

    run, title, summary = _gather(values, say)
    with replacing_folder(paths.FIGURES) as folder:
        names = draw_all(folder, run, say)
    write_report(
        paths.REPORT,
        title=title,
        summary=summary,
        settings=values.model_dump(include=set(SETTINGS)),
        metrics=read_json(paths.METRICS),
        layers=run.layers,
        input_shape=run.input_shape,
        history=[asdict(epoch) for epoch in history.read(paths.HISTORY)],
        figures=paths.FIGURES,
    )
    print(f"{len(names)} pictures in {paths.FIGURES}, the page in {paths.REPORT}")


def _gather(
    values: config.Params, say: "Callable[[str], None]"
) -> "tuple[Run, str, dict[str, str]]":
    """(what the pictures are drawn from, the page's title, the run's conditions)."""
    from dataclasses import asdict

    import torch

    from alexnet import history, timing
    from alexnet.augment import Preparation, centre_crop, draw
    from alexnet.data.dataset import load_meta, load_split
    from alexnet.describe import describe
    from alexnet.device import Machine, choose_device, choose_precision
    from alexnet.evaluate import read_predictions
    from alexnet.figures.augmentation import in_words
    from alexnet.figures.draw import Run
    from alexnet.figures.looking import look_inside, num_looked_at
    from alexnet.files import read_json
    from alexnet.fold import can_fold, fold_for_inference
    from alexnet.inside import Looking
    from alexnet.progress import progress
    from alexnet.weights import build, load_weights

    meta = load_meta(paths.PROCESSED)
    model, card = load_weights(paths.WEIGHTS)
    classes, size = list(card.classes), card.image_size
    predictions = read_predictions(paths.PREDICTIONS, card.classes)
    layers = describe(model, size)
    train = load_split(paths.PROCESSED, "train")
    test_images = centre_crop(load_split(paths.PROCESSED, "test")[0], size)
    torch.manual_seed(values.train.seed)
    fresh = build(card, values.model.dropout)  # as training began
    folds = values.train.fold == "auto" and can_fold(model, size)

    # Spread over the split, so that the samples are of several classes.
    chosen = torch.linspace(0, len(train[0]) - 1, values.plot.num_samples).long()
    cpu = torch.device("cpu")
    prepare = Preparation(train[0], size, card.mean, card.std, values.train, cpu)
    augmented = [
        prepare.seen(train[0][chosen], draw(train[0], size, values.train, epoch).take(chosen))
        for epoch in range(NUM_AUGMENTED)
    ]
    device = choose_device(values.evaluate.device)
    machine = Machine(device, choose_precision("auto", device))
    with progress("look inside", num_looked_at(len(test_images), len(train[0]))) as advance:
        inside = look_inside(
            Looking(model, card, machine),
            layers,
            (test_images, predictions.actual),
            (predictions.predicted, predictions.confidence),
            (centre_crop(train[0], size), train[1]),
            classes,
            say,
            advance,
        )
    model.to(cpu)
    trained = read_json(paths.TRAIN_METRICS)
    run = Run(
        classes=classes,
        variant=card.variant,
        input_shape=(card.channels, size, size),
        layers=layers,
        trained_layers=describe(fold_for_inference(model), size) if folds else layers,
        history=[asdict(epoch) for epoch in history.read(paths.HISTORY)],
        layer_rows=[asdict(row) for row in history.read_layers(paths.LAYERS)],
        times=[asdict(row) for row in timing.read(paths.TIMING)],
        timed_on=str(trained["device"]),
        weights={
            name: layer.weight.detach().numpy()
            for name, layer in model.named_children()
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)
        },
        conv1_before=fresh.conv1.weight.detach().numpy(),
        samples=centre_crop(train[0][chosen], size).numpy(),
        augmented=torch.stack(augmented).numpy(),
        sample_labels=train[1][chosen].numpy(),
        augmentation=in_words(values.train),
        test_images=test_images.numpy(),
        actual=predictions.actual,
        predicted=predictions.predicted,
        confidence=predictions.confidence,
        calibration_bins=values.evaluate.calibration_bins,
        num_mistakes=values.plot.num_mistakes,
        inside=inside,
    )
    summary = {
        "data set": meta.title,
        "variant": card.variant,
        "training images": f"{len(train[0]):,}",
        "test images": f"{len(test_images):,}",
        "epochs": str(len(run.history)),
        "training time": f"{trained['seconds']:,.0f} s",
        "trained on": str(trained["device"]),
    }
    return run, f"AlexNet on {meta.title}", summary


if __name__ == "__main__":
    run(plot)
