"""serve: answer requests over HTTP with an exported model."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from alexnet.cli import signatures
from alexnet.cli.options import given_path
from alexnet.errors import UserError
from alexnet.serving.limits import Limits


def serve(
    folder: Annotated[Path, typer.Argument(help="The exported artifact.", parser=given_path)],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8080,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"], typer.Option(help="The model of that precision.")
    ] = "fp32",
    key: signatures.Key = None,
    identity: signatures.Identity = None,
    identity_provider: signatures.IdentityProvider = None,
    trust_config: signatures.TrustConfig = None,
    signature: signatures.Signature = None,
    num_threads: Annotated[
        int, typer.Option(min=0, help="Threads of one run; 0 for one on each core.")
    ] = 0,
    max_batch: Annotated[
        int, typer.Option(min=1, help="Images in one run of the network.")
    ] = Limits.max_batch,
    max_delay_ms: Annotated[
        float,
        typer.Option(
            min=0, max=60_000, help="Time that a request waits for others to share its run."
        ),
    ] = 1000 * Limits.max_delay_seconds,
    max_requests: Annotated[
        int, typer.Option(min=1, help="Requests that are answered at a time.")
    ] = Limits.max_requests,
    max_images: Annotated[
        int, typer.Option(min=1, help="Images in a request.")
    ] = Limits.max_images,
    max_bytes: Annotated[
        int, typer.Option(min=1, help="Size of a request's body.")
    ] = Limits.max_bytes,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Of an image file; a larger one is not decoded.")
    ] = Limits.max_pixels,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds from a request to its answer.")
    ] = Limits.timeout_seconds,
) -> None:
    """Serve a verified artifact over HTTP: the Open Inference Protocol, and images as they are.

    POST an image to /predict. Needs no PyTorch, and the package's extra `serve`.
    """
    if not host:  # sockets would take it for every address of the machine
        raise UserError("--host is empty; give an address, such as 127.0.0.1")
    check = signatures.check_of(folder, key, identity, identity_provider, trust_config, signature)
    try:
        from alexnet.serving.server import serve
    except ModuleNotFoundError as error:
        raise UserError(
            f"the server needs {error.name}; install the package with its extra: "
            "pip install '.[serve]'"
        ) from None

    limits = Limits(
        max_batch=max_batch,
        max_delay_seconds=max_delay_ms / 1000,
        max_requests=max_requests,
        max_images=max_images,
        max_bytes=max_bytes,
        max_pixels=max_pixels,
        timeout_seconds=timeout,
    )
    serve(
        folder,
        host,
        port,
        precision=precision,
        check_signature=check,
        num_threads=num_threads,
        limits=limits,
    )
