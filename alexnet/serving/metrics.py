"""What a server counts, in Prometheus' format, and its log: a line for each request."""

import logging
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alexnet.escape import for_terminal
from alexnet.files import shorten
from alexnet.inference.predictor import Predictor

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# Asked for every few seconds: an answer of 200 is not worth a line.
QUIET = ("/metrics", "/v2/health/live", "/v2/health/ready")

logger = logging.getLogger(__name__)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "alexnet_requests", "Answers", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            *("alexnet_request_seconds", "From a request's header to its answer", ["route"]),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.in_progress = Gauge(
            "alexnet_requests_in_progress", "Requests being answered", registry=self.registry
        )
        self.batches = Histogram(
            "alexnet_batch_images",
            "Images in one run of the network",
            buckets=BATCHES,
            registry=self.registry,
        )
        self.run_seconds = Histogram(
            "alexnet_run_seconds",
            "One run of the network",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.model = Info("alexnet_model", "The model that is served", registry=self.registry)
        ProcessCollector(registry=self.registry)

    def describe(self, predictor: Predictor, manifest_sha256: str) -> None:
        self.model.info(
            {
                "variant": predictor.variant,
                "precision": predictor.precision,
                "manifest_sha256": manifest_sha256,
            }
        )


class Observer:
    """Counts and logs the requests of an app, and lets connections end once the server stops."""

    def __init__(self, app: ASGIApp, metrics: Metrics, is_stopping: Callable[[], bool]) -> None:
        self.app, self.metrics, self.is_stopping = app, metrics, is_stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        start, status = time.perf_counter(), 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self.is_stopping():
                    message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        try:
            await self.app(scope, receive, observed)
        finally:
            seconds = time.perf_counter() - start
            # Of the app's own: whatever a client asks for cannot become a label.
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, status).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            if status != 200 or scope["path"] not in QUIET:
                path = shorten(for_terminal(scope["path"]), 100)
                logger.info(f"{scope['method']} {path} {status} {1e3 * seconds:.1f} ms")
