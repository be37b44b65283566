"""train: from images to weights."""

from dataclasses import asdict

from alexnet import config
from stages import paths
from stages.command import PARAMS, ParamsFile, run


def train(params: ParamsFile = PARAMS) -> None:
    """Train the network; write its weights, its history and its metrics."""
    values = config.load(params)  # first: a wrong value is told before torch is imported

    import torch

    from alexnet import history
    from alexnet.checkpoint import Card, build, save_weights
    from alexnet.data.dataset import load_meta, load_split
    from alexnet.files import write_json
    from alexnet.train import Split, fit

    meta = load_meta(paths.PROCESSED)
    card = Card(values.model.variant, meta.classes, meta.image_size, meta.mean, meta.std)
    torch.manual_seed(values.train.seed)
    model = build(card, values.model.dropout)
    epochs: list[history.Epoch] = []

    def on_epoch(epoch: history.Epoch) -> None:
        epochs.append(epoch)
        history.write(paths.HISTORY, epochs)
        print(
            f"epoch {epoch.epoch}/{values.train.epochs}  "
            f"train loss {epoch.train_loss:.4f} accuracy {epoch.train_accuracy:.2%}  "
            f"val loss {epoch.val_loss:.4f} accuracy {epoch.val_accuracy:.2%}  "
            f"{epoch.seconds:.1f} s, {epoch.images_per_second:,.0f} images/s",
            flush=True,
        )

    fit(
        model,
        card,
        Split(*load_split(paths.PROCESSED, "train")),
        Split(*load_split(paths.PROCESSED, "val")),
        values.train,
        on_epoch,
    )
    save_weights(paths.WEIGHTS, model, card)
    seconds = sum(epoch.seconds for epoch in epochs)
    write_json(paths.TRAIN_METRICS, asdict(epochs[-1]) | {"seconds": seconds})
    print(f"weights in {paths.WEIGHTS}, history in {paths.HISTORY}")


if __name__ == "__main__":
    run(train)
