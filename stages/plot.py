"""plot: pictures of the run, and the page that explains them."""

import logging

from alexnet.cli.app import run
from stages import paths
from stages.params import load
from stages.paths import PARAMS, ParamsFile

logger = logging.getLogger("stages.plot")

SETTINGS = ("data", "model", "train", "evaluate")  # the sections that decide the results


def plot(params: ParamsFile = PARAMS) -> None:
    """Draw the training, the results and the inside of the network; write the page."""
    values = load(params)

    from alexnet.evaluation.results import read_metrics
    from alexnet.files import atomic_directory
    from alexnet.report.draw import draw_all
    from alexnet.report.html_report import write_report
    from alexnet.report.run import Files, read_run
    from alexnet.training.device import configure_torch

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
    metrics = read_metrics(paths.METRICS)
    data = read_run(files, values)
    with atomic_directory(paths.FIGURES) as folder:
        names = draw_all(folder, data)
    write_report(
        paths.REPORT,
        title=data.title,
        conditions=data.conditions,
        settings=values.model_dump(include=set(SETTINGS)),
        metrics=metrics,
        layers=data.layers,
        input_shape=data.input_shape,
        history=data.history,
        figures=paths.FIGURES,
    )
    logger.info(f"{len(names)} pictures in {paths.FIGURES}, the page in {paths.REPORT}")


if __name__ == "__main__":
    run(plot)
