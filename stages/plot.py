"""plot: pictures of the run, and the page that explains them."""

from alexnet import config
from stages import paths
from stages.command import PARAMS, ParamsFile, run

NUM_AUGMENTED = 4
SETTINGS = ("data", "model", "train", "evaluate")  # what decided the run's figures


def plot(params: ParamsFile = PARAMS) -> None:
    """Draw the run: curves, confusion, filters, samples, mistakes, the network; and a page."""
    values = config.load(params)

    from dataclasses import asdict

    import torch

    from alexnet import history
    from alexnet.augment import Preparation, centre_crop, draw
    from alexnet.data.dataset import load_meta, load_split
    from alexnet.describe import describe
    from alexnet.evaluate import read_predictions
    from alexnet.figures.draw import draw_all
    from alexnet.figures.report import write_report
    from alexnet.files import read_json, replacing_folder
    from alexnet.weights import load_weights

    meta = load_meta(paths.PROCESSED)
    model, card = load_weights(paths.WEIGHTS)
    epochs = [asdict(epoch) for epoch in history.read(paths.HISTORY)]
    metrics = read_json(paths.METRICS)
    predictions = read_predictions(paths.PREDICTIONS, card.classes)
    layers = describe(model, card.image_size)
    train_images, train_labels = load_split(paths.PROCESSED, "train")
    test_images = centre_crop(load_split(paths.PROCESSED, "test")[0], card.image_size)

    # Spread over the split, so that the samples are of several classes.
    chosen = torch.linspace(0, len(train_images) - 1, values.plot.num_samples).long()
    samples = train_images[chosen]
    size = card.image_size
    prepare = Preparation(
        train_images, size, card.mean, card.std, values.train, torch.device("cpu")
    )
    augmented = [
        prepare.seen(samples, draw(train_images, size, values.train, epoch).take(chosen))
        for epoch in range(NUM_AUGMENTED)
    ]
    samples = centre_crop(samples, size)
    with replacing_folder(paths.FIGURES) as folder:
        names = draw_all(
            folder,
            history=epochs,
            classes=list(card.classes),
            actual=predictions.actual,
            predicted=predictions.predicted,
            confidence=predictions.confidence,
            test_images=test_images.numpy(),
            conv1_weight=model.conv1.weight.detach().numpy(),
            samples=samples.numpy(),
            augmented=torch.stack(augmented).numpy(),
            sample_labels=train_labels[chosen].numpy(),
            layers=layers,
            variant=card.variant,
            input_shape=(card.channels, card.image_size, card.image_size),
            num_mistakes=values.plot.num_mistakes,
        )
    write_report(
        paths.REPORT,
        title=f"AlexNet on {meta.title}",
        summary={
            "data set": meta.title,
            "variant": card.variant,
            "training images": f"{len(train_images):,}",
            "test images": f"{len(test_images):,}",
            "epochs": str(len(epochs)),
            "training time": f"{read_json(paths.TRAIN_METRICS)['seconds']:,.0f} s",
        },
        settings=values.model_dump(include=set(SETTINGS)),
        metrics=metrics,
        layers=layers,
        history=epochs,
        figures=paths.FIGURES,
    )
    print(f"{len(names)} pictures in {paths.FIGURES}, the page in {paths.REPORT}")


if __name__ == "__main__":
    run(plot)
