"""report: where the page of a run lies; or open it."""

from typing import Annotated

import typer

from stages import paths


def report(
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Say where the run's page lies and what it is about, or open it."""
    import webbrowser

    from alexnet.errors import UserError
    from alexnet.files import read_json

    if not paths.REPORT.exists():
        raise UserError(
            f"{paths.REPORT} does not exist; `dvc repro plot` makes it (`make demo` makes one in "
            ".demo: go there first)"
        )
    page = paths.REPORT.resolve()
    metrics = read_json(paths.METRICS)
    print(f"{page}: accuracy {metrics['accuracy']:.2%} on {metrics['n']:,} test images")
    if show and not webbrowser.open(page.as_uri()):
        raise UserError(f"no browser could be started here; open {page} in one")
