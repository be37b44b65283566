"""plot: pictures of the run, and the page that explains them."""

import logging

from alexnet import config
from alexnet.cli.app import run
from stages import paths
from stages.paths import PARAMS, ParamsFile

logger = logging.getLogger("stages.plot")

SETTINGS = ("data", "model", "train", "evaluate")  # sections of params.yaml shown on the page


def plot(params: ParamsFile = PARAMS) -> None:
    """Draw the training curves, the mistakes and the network's layers; write the page."""
    values = config.load(params)

    import time

    from alexnet.files import atomic_directory, read_json
    from alexnet.report.draw import draw_all
    from alexnet.report.html_report import write_report
    from alexnet.report.run import Files, read_run

    start = time.monotonic()

    def say(line: str) -> None:
        logger.info(f"{time.monotonic() - start:5.1f} s  {line}")

    files = Files(
        processed=paths.PROCESSED,
        weights=paths.WEIGHTS,
        history=paths.HISTORY,
        layers=paths.LAYERS,
        timing=paths.PROFILE,
        metrics=paths.TRAIN_METRICS,
        predictions=paths.PREDICTIONS,
    )
    drawn = read_run(files, values, say)
    with atomic_directory(paths.FIGURES) as folder:
        names = draw_all(folder, drawn, say)
    write_report(
        paths.REPORT,
        title=drawn.title,
        summary=drawn.conditions,
        settings=values.model_dump(include=set(SETTINGS)),
        metrics=read_json(paths.METRICS),
        layers=drawn.layers,
        input_shape=drawn.input_shape,
        history=drawn.history,
        figures=paths.FIGURES,
    )
    logger.info(f"{len(names)} pictures in {paths.FIGURES}, the page in {paths.REPORT}")


if __name__ == "__main__":
    run(plot)
