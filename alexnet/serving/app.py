"""The addresses of a server, and its errors: JSON {"error": ...}, without a traceback."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from alexnet.files import message_of
from alexnet.serving import protocol
from alexnet.serving.metrics import Observer
from alexnet.serving.service import Service

MODEL = "/v2/models/{name}"


class Options(BaseModel, extra="forbid"):
    """What follows the question mark of /predict."""

    top: Annotated[int, Field(ge=1)] = 3


def create_app(service: Service, is_stopping: Callable[[], bool]) -> ASGIApp:
    """is_stopping: whether the server takes no new connections, and lets those it has end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    # FastAPI's pages of documentation load scripts from elsewhere.
    app = FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False)

    @app.get("/v2")
    async def server_metadata() -> dict[str, Any]:
        return protocol.server_metadata()

    @app.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/v2/health/ready")
    async def ready() -> dict[str, bool]:
        if is_stopping():
            raise HTTPException(503, "the server is stopping")
        return {"ready": True}

    async def model_metadata() -> dict[str, Any]:
        return protocol.model_metadata(service.predictor)

    async def model_ready() -> dict[str, Any]:
        return {"name": protocol.NAME, **await ready()}

    async def infer(request: Request) -> Response:
        return await service.infer(request)

    for path in (MODEL, f"{MODEL}/versions/{{version}}"):
        checked = [Depends(_check_model)]
        app.add_api_route(path, model_metadata, dependencies=checked)
        app.add_api_route(f"{path}/ready", model_ready, dependencies=checked)
        app.add_api_route(f"{path}/infer", infer, methods=["POST"], dependencies=checked)

    @app.post("/predict")
    async def predict(request: Request, options: Annotated[Options, Query()]) -> dict[str, Any]:
        return {"results": await service.predict(request, options.top)}

    @app.get("/metrics")
    async def metrics() -> Response:
        text = generate_latest(service.metrics.registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(ClientDisconnect, _nobody_there)
    app.add_exception_handler(Exception, _defect)
    return Observer(app, service.metrics, is_stopping)


async def _check_model(name: str, request: Request) -> None:
    version = request.path_params.get("version", protocol.VERSION)
    if (name, version) != (protocol.NAME, protocol.VERSION):
        known = f"{protocol.NAME}, version {protocol.VERSION}"
        raise HTTPException(404, f"there is no such model; this server has {known}")


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    detail = error.errors()[0]
    return JSONResponse({"error": f"{detail['loc'][-1]}: {message_of(detail)}"}, 400)


async def _nobody_there(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the body's end is missing"}, 400)


async def _defect(_: Request, error: Exception) -> Response:
    """Of ours: the log has its traceback."""
    return JSONResponse({"error": "an error of the server; its log says more"}, 500)
