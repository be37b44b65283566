"""live: the page that shows the run's network at work, in a browser."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.options import given_path

logger = logging.getLogger(__name__)


def live(
    out: Annotated[Path, typer.Option(help="The folder to write.", parser=given_path)] = Path(
        "live"
    ),
    show: Annotated[
        bool, typer.Option("--open", help="Serve it to this machine, and open the browser.")
    ] = False,
) -> None:
    """Build the page that runs the run's network in a browser, and shows what it computes."""
    from alexnet.live.build import build_live
    from alexnet.live.page import find_source
    from alexnet.live.run import Files, read_live_run
    from alexnet.progress import in_bytes
    from alexnet.training.device import configure_torch

    source = find_source()
    configure_torch()
    rounding = build_live(out, read_live_run(Files()), source)
    num_bytes = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    logger.info(
        f"{out}: {in_bytes(num_bytes)}; with rounded weights, accuracy "
        f"{rounding.accuracy:.2%} on {rounding.num_images:,} test images, the same label for "
        f"{rounding.label_agreement:.2%}"
    )
    if show:
        _open(out)
    else:
        logger.info(
            f"to look at it: python -m http.server --bind 127.0.0.1 --directory {out}, or --open"
        )


def _open(folder: Path) -> None:
    """Serve the folder until Ctrl-C."""
    import time
    import webbrowser

    from alexnet.live.server import served
    from alexnet.signals import GracefulShutdown

    with served(folder) as address, GracefulShutdown() as stop:
        if not webbrowser.open(address):
            logger.warning(f"no browser could be started here; open {address} in one")
        logger.info(f"{address} until Ctrl-C")
        while not stop.received_signal:
            time.sleep(0.2)
