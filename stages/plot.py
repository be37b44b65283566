"""plot: pictures of the run, and the page that explains them."""

from alexnet import config
from alexnet.cli.app import run
from stages import paths
from stages.paths import PARAMS, ParamsFile

SETTINGS = ("data", "model", "train", "evaluate")  # what decided the run's figures


def plot(params: ParamsFile = PARAMS) -> None:
    """Draw the run: how it went, what it gets wrong, what goes on inside; and a page."""
    values = config.load(params)

    import time

    from alexnet.files import atomic_directory, read_json
    from alexnet.report.draw import draw_all
    from alexnet.report.html_report import write_report
    from alexnet.report.run import Files, read_run

    start = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - start:5.1f} s  {line}", flush=True)

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
    print(f"{len(names)} pictures in {paths.FIGURES}, the page in {paths.REPORT}")


if __name__ == "__main__":
    run(plot)
