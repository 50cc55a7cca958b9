"""A client that speaks to an ASGI application in the same process, one request at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from starlette.types import ASGIApp


class Client:
    """Keeps cookies; follows no redirect."""

    def __init__(self, app: ASGIApp) -> None:
        self._transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self.cookies = httpx.Cookies()

    def request(self, method: str, path: str, **values: Any) -> httpx.Response:
        return asyncio.run(self._request(method, path, **values))

    async def _request(self, method: str, path: str, **values: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=self._transport, base_url="http://localhost", cookies=self.cookies) as client:
            answer = await client.request(method, path, **values)
            self.cookies = client.cookies
            return answer

    def get(self, path: str, **values: Any) -> httpx.Response:
        return self.request("GET", path, **values)

    def post(self, path: str, **values: Any) -> httpx.Response:
        return self.request("POST", path, **values)
