"""The HTTP service: /ping, /invocations, and the pages that describe them."""

import asyncio
from typing import TYPE_CHECKING, Optional

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from ..._version import __version__
from .access_log import AccessLog
from .negotiation import content_type, wanted_type
from .refused import Refused
from .schema import add_request, answers, refusals
from .service import Service
from .streams import Streams
from .worker import Worker

if TYPE_CHECKING:
    from .server import Limits

# A body that is too large is read on up to this many times its limit, and thrown away: a client
# that is still sending would not see the answer.
PATIENCE = 4


def create_app(
    service: Service, worker: Worker, limits: "Limits", streams: Optional[Streams] = None
) -> FastAPI:
    """The ASGI application for a `Service` whose answers a `Worker` computes.

    streams: the states of series that grow, where they are kept.
    """
    # Its page loads nothing from other hosts.
    app = FastAPIOffline(
        title=f"gluon-linalg: {service.model.predictor.what}",
        version=__version__,
        description=f"Rows in, {service.model.predictor.what} out; both as JSON or CSV.",
        redoc_url=None,
        swagger_ui_parameters={"validatorUrl": None},
    )
    app.add_middleware(HeadAsGet)
    app.add_middleware(AccessLog)

    @app.get("/ping", summary="Whether the model answers", responses=refusals(503))
    async def ping() -> JSONResponse:
        busy = worker.busy_seconds
        if busy is None:
            await worker.result(service.check)
        elif busy > limits.seconds:
            raise Refused(503, f"the model has been computing for {busy:.0f} s")
        return JSONResponse({"status": "ok"})

    @app.post("/invocations", summary="Predictions for rows", responses=answers(service))
    async def predict(request: Request) -> Response:
        given = content_type(request.headers)
        wanted = wanted_type(request.headers, given)
        body = await _body(request, limits)
        answer, rows = await worker.result(service.answer, body, given, wanted)
        request.scope["log"]["rows"] = rows
        return Response(answer, media_type=wanted)

    if streams is not None:
        add_streams(app, streams, worker, limits)

    @app.exception_handler(Refused)
    async def refuse(request: Request, refused: Refused) -> JSONResponse:
        request.scope["log"]["error"] = str(refused)
        # Of these bodies there may be more to come, which nobody will read.
        headers = {"Connection": "close"} if refused.status in (408, 413) else None
        return JSONResponse({"error": str(refused)}, refused.status, headers)

    @app.exception_handler(HTTPException)
    async def refuse_path_or_method(request: Request, error: HTTPException) -> JSONResponse:
        what = f"{request.method} {request.url.path[:100]}: {error.detail}"
        return JSONResponse({"error": what}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def apologize(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "an error of the server; its log says more"}, 500)

    add_request(app, service)
    return app


def add_streams(app: FastAPI, streams: Streams, worker: Worker, limits: "Limits") -> None:
    """The routes of series that grow."""
    path = "/series/{name:path}"
    described = refusals(404, 409, 422, 503)

    @app.post(path, summary="Adds rows to a series, and forecasts it", responses=described)
    async def update(name: str, request: Request) -> JSONResponse:
        given = content_type(request.headers)
        body = await _body(request, limits)
        answer, rows = await worker.result(streams.update, name, body, given)
        request.scope["log"]["rows"] = rows
        return JSONResponse(answer)

    @app.get(path, summary="The last forecast of a series", responses=described)
    async def last(name: str) -> JSONResponse:
        return JSONResponse(await worker.result(streams.answer, name))

    @app.delete(path, summary="Forgets a series", responses=described)
    async def forget(name: str) -> JSONResponse:
        await worker.result(streams.forget, name)
        return JSONResponse({"status": "forgotten"})


class HeadAsGet:
    """ASGI middleware; load balancers ask for the head alone, of which FastAPI knows nothing.

    The server sends no body in answer to HEAD, whatever the application gives it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self.app(scope, receive, send)


async def _body(request: Request, limits: "Limits") -> bytes:
    """The whole body; `Refused` if it is too large, or does not arrive in time."""
    try:
        return await asyncio.wait_for(_receive(request, limits.most_bytes), limits.seconds)
    except asyncio.TimeoutError:
        raise Refused(408, f"the body did not arrive within {limits.seconds:g} s") from None
    except ClientDisconnect:
        raise Refused(400, "the connection ended before the body did") from None


async def _receive(request: Request, most_bytes: int) -> bytes:
    size, parts = 0, []
    too_large = Refused(413, f"the body has more than {most_bytes} bytes, the most that are taken")
    declared = request.headers.get("content-length", "0")
    if int(declared) > PATIENCE * most_bytes:
        raise too_large
    async for part in request.stream():
        size += len(part)
        if size <= most_bytes:
            parts.append(part)
        elif size > PATIENCE * most_bytes:
            break
        else:
            parts.clear()
    if size > most_bytes:
        raise too_large
    return b"".join(parts)
