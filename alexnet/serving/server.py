"""Serve an exported artifact: verified before the port is opened, and stopped without a loss.

What was verified is what runs: the model's bytes are read once, and have to have the digest in
the manifest that was verified.
"""

import asyncio
import contextlib
import ctypes
import json
import logging
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from types import FrameType

import uvicorn

from alexnet.errors import UserError
from alexnet.inference.predictor import MODEL_FILENAMES, Predictor
from alexnet.inference.verification import MANIFEST, VerificationResult, verify
from alexnet.serving.app import create_app
from alexnet.serving.limits import Limits
from alexnet.serving.metrics import Metrics
from alexnet.serving.service import Service
from alexnet.signals import handled_signals

BACKLOG = 2048
# After a signal, connections that are open may send what they were about to send. Less than the
# second after which a client asks again for a connection: it is refused then.
LINGER_SECONDS = 0.5

logger = logging.getLogger(__name__)


def load_verified(
    folder: Path, precision: str, result: VerificationResult, num_threads: int, max_pixels: int
) -> Predictor:
    """The model of a folder that was verified. Raises UserError if a file was changed since."""
    content = (folder / MANIFEST).read_bytes()
    if sha256(content).hexdigest() != result.manifest_sha256:
        raise UserError(f"{folder / MANIFEST} was changed while it was verified")
    manifest = json.loads(content)
    if precision not in manifest["precisions"]:
        available = ", ".join(manifest["precisions"])
        raise UserError(f"{folder} has the precisions {available}, not {precision}")
    digest = manifest["files"][MODEL_FILENAMES[precision]]["sha256"]
    return Predictor(folder, precision, num_threads, max_pixels=max_pixels, sha256=digest)


def serve(
    folder: Path,
    host: str,
    port: int,
    *,
    precision: str,
    check_signature: Callable[[Path], None] | None,
    num_threads: int,
    limits: Limits,
) -> None:
    """Verify the folder, then answer requests until a signal comes.

    port: 0 for any that is free. check_signature: as `verify` takes it. Raises
    UserError if the folder is not verified, or the address is not to be had.
    """
    result = verify(folder, check_signature)
    predictor = load_verified(folder, precision, result, num_threads, limits.max_pixels)
    metrics = Metrics()
    metrics.describe(predictor, result.manifest_sha256)
    service = Service(predictor, limits, metrics)
    listener = _listen(host, port)
    server = Server(service)
    host, port = listener.getsockname()[:2]
    where = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    logger.info(
        f"{folder} is verified, {'with' if check_signature else 'without'} its signature; "
        f"{predictor.variant} in {predictor.precision} on {where}"
    )
    server.run([listener])
    logger.info(f"stopped by {server.stopped_by}")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = str(getattr(error, "strerror", error)).split(" (")[0]  # without the address
        raise UserError(f"{host}, port {port}: {reason}; choose others by --host, --port") from None
    # Its connections inherit this. Else an answer's body waits for the acknowledgement of its
    # header, up to 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    return listener


class Server(uvicorn.Server):
    """uvicorn's server, which answers all that it has accepted before it ends."""

    def __init__(self, service: Service) -> None:
        config = uvicorn.Config(
            create_app(service, is_stopping=lambda: self.should_exit),
            http="h11",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=int(service.limits.timeout_seconds) + 1,
        )
        super().__init__(config)
        self.stopped_by = ""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.stopped_by = self.stopped_by or signal.Signals(sig).name
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, for each signal that stops a command of ours; none is raised again.

        A process that stops is not stopped again: a terminal and a container may send two.
        """
        previous = {n: signal.signal(n, self.handle_exit) for n in handled_signals()}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, signal.SIG_IGN if self.stopped_by else handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection, and let those that are open ask a last time.

        `Observer` adds `Connection: close` to the answers from the signal on.
        """
        for listener in sockets or ():
            ignore_new_connections(listener)
        await asyncio.sleep(LINGER_SECONDS)
        await super().shutdown(sockets)


def ignore_new_connections(listener: socket.socket) -> None:
    """Have the kernel drop the packets (SYN) that ask for another connection.

    To close the socket would cut off those that are made, but not accepted yet. A client whose
    packet was dropped sends it again after a second, and then finds the port closed.
    """
    load, is_set, answer, flags, syn = 0x30, 0x45, 0x06, 13, 0x02  # bpf(4); RFC 9293, 3.1
    steps = [(load, 0, 0, flags), (is_set, 0, 1, syn), (answer, 0, 0, 0), (answer, 0, 0, 1 << 18)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HP", len(steps), ctypes.addressof(code))
    with contextlib.suppress(OSError):  # a kernel without filters
        listener.setsockopt(socket.SOL_SOCKET, 26, program)  # SO_ATTACH_FILTER
