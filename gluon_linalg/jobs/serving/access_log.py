"""One line of the log for each request."""

import time
from typing import Any, Dict

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import log


class AccessLog:
    """ASGI middleware; what a handler puts into scope["log"] becomes part of the line."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), 500
        fields: Dict[str, Any] = {}
        scope["log"] = fields

        async def send_and_look(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_look)
        finally:
            client = scope.get("client")
            log.event(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round(1000 * (time.monotonic() - began), 3),
                client=client[0] if client else None,
                **fields,
            )
