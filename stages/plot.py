"""plot: pictures of the run, and the page that explains them."""

import logging

from stages import paths
from stages.command import run
from stages.params import as_recorded, load, read_records
from stages.paths import PARAMS, ParamsFile

logger = logging.getLogger("stages.plot")


def plot(params: ParamsFile = PARAMS) -> None:
    """Draw the training, the results and the inside of the network; write the page."""
    parameters = load(params)

    from alexnet.data.dataset import load_split
    from alexnet.evaluation.repeats import read_repeats
    from alexnet.evaluation.results import read_metrics
    from alexnet.evaluation.warm_start import read_warm_start, require_parent
    from alexnet.files import atomic_directory, remove_directory
    from alexnet.network.parent import load_parent
    from alexnet.report.draw import WRITTEN, draw_all
    from alexnet.report.examples import cells_with_examples
    from alexnet.report.html_report import write_report
    from alexnet.report.run import Files, read_run
    from alexnet.report.start import compare_start
    from alexnet.training.device import configure_torch

    # DVC leaves this folder to us. If the stage fails, no earlier run's pictures are left.
    remove_directory(paths.FIGURES, WRITTEN.fullmatch)
    values = as_recorded(parameters)
    configure_torch(values.train.deterministic)
    files = Files(
        processed=paths.PROCESSED,
        weights=paths.WEIGHTS,
        history=paths.HISTORY,
        layers=paths.LAYERS,
        train_metrics=paths.TRAIN_METRICS,
        profile=paths.PROFILE,
        profile_metrics=paths.PROFILE_METRICS,
        predictions=paths.PREDICTIONS,
    )
    metrics, repeats = read_metrics(paths.METRICS), read_repeats(paths.REPEAT)
    parent = load_parent(paths.PRETRAINED, paths.PRETRAINED_RECORD)
    warm_start = read_warm_start(paths.WARM_START)
    parent = require_parent(parent, warm_start) if warm_start else None
    data, start = read_run(files, values, parent), None
    if parent and warm_start:
        train, device = load_split(paths.PROCESSED, "train"), values.evaluate.device
        start = compare_start(data, parent, warm_start, train, metrics, repeats, device)
    with atomic_directory(paths.FIGURES, WRITTEN.fullmatch) as folder:
        names = draw_all(folder, data, start)
    write_report(
        paths.REPORT,
        title=data.title,
        conditions=data.conditions,
        counts=data.counts,
        classes=data.classes,
        settings=read_records(),
        metrics=metrics,
        repeats=repeats,
        layers=data.layers,
        trained_layers=data.trained_layers,
        input_shape=data.input_shape,
        history=data.history,
        cells=cells_with_examples(data.test_images, data.actual, data.predicted, data.confidence),
        figures=paths.FIGURES,
        start=start,
    )
    logger.info(f"{len(names)} pictures in {paths.FIGURES}, the page in {paths.REPORT}")


if __name__ == "__main__":
    run(plot)
