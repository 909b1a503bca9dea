"""What stands between the network and Gradio: which requests pass, and how much they may send.

Gradio offers more than this page needs: it fetches addresses for whoever asks, records screens, lists its functions.
Only what the page itself asks for passes. A request must name this server, so that no other site can reach it through
a browser by giving its own name this machine's address.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from rireid_jax.cli.page.uploads import MOST_BYTES, sweep

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

UPLOAD = "/gradio_api/upload"
_PASSING = {
    "GET": re.compile(
        r"/|/config/?|/theme\.css|/favicon\.ico|/manifest\.json|/robots\.txt|/(static|assets|svelte)/.*"
        r"|/gradio_api/(queue/(data|status)|heartbeat/\w+|upload_progress|startup-events|app_id|theme\.css)/?"
    ),
    "POST": re.compile(rf"{UPLOAD}/?|/gradio_api/(queue/join|reset|cancel)/?"),
}
_MOST_SENT = MOST_BYTES + 100_000  # bytes of a body, with what stands around a file
_SECONDS = 60  # to send one
_LOCAL = ("127.0.0.1", "localhost", "[::1]")
# Nothing from other places, even if a name in a gallery should find its way into the page.
_HEADERS = {
    b"content-security-policy": (
        b"default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
        b"script-src 'self' 'unsafe-inline' 'unsafe-eval'; font-src 'self' data:; worker-src 'self' blob:; "
        b"connect-src 'self'; form-action 'self'; base-uri 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: App, uploads: Path, hosts: tuple[str, ...]):
        """Wraps.

        Args:
          app: Gradio's.
          uploads: its folder.
          hosts: names of this server, without a port, as well as those of this machine; none for any name.
        """
        self._app, self._uploads = app, uploads
        self._hosts = {*_LOCAL, *hosts} if hosts else set()
        self._one = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal:
            await _answer(send, *refusal)
            return
        body = _Body(receive, send)
        try:
            if scope["path"].rstrip("/") == UPLOAD:
                await self._upload(scope, body)
            else:
                await self._app(scope, body.receive, body.send)
        except _TooMuchError:
            if not body.answered:
                await _answer(send, 413, f"expected at most {MOST_BYTES // 10**6} MB")

    async def _upload(self, scope: Scope, body: "_Body") -> None:
        """Lets one upload at a time through, so that what is left of a broken one is known as such."""
        async with self._one:
            sweep(self._uploads)
            try:
                async with asyncio.timeout(_SECONDS):
                    await self._app(scope, body.receive, body.send)
            except TimeoutError:
                if not body.answered:
                    await _answer(body.send, 408, f"expected a picture within {_SECONDS} seconds")
            finally:
                sweep(self._uploads)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {key.lower(): value.decode("latin-1") for key, value in scope["headers"]}
        host = re.sub(r":\d+$", "", headers.get(b"host", "")).lower()
        if self._hosts and host not in self._hosts:
            return 421, "expected the name of this server"
        origin = headers.get(b"origin")
        if origin is not None and origin.partition("://")[2] != headers.get(b"host"):
            return 403, "expected a request of this page"
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        passing = _PASSING.get(method)
        if passing is None or not passing.fullmatch(scope["path"]) or ".." in scope["path"]:
            return 404, "nothing here"
        length = headers.get(b"content-length", "0")
        if not length.isdecimal() or int(length) > _MOST_SENT:
            return 413, f"expected at most {MOST_BYTES // 10**6} MB"
        return None


class _TooMuchError(Exception):
    """A body is longer than it may be."""


class _Body:
    """Counts what comes in, and adds headers to what goes out."""

    def __init__(self, receive: Receive, send: Send):
        self._receive, self._send = receive, send
        self._sent = 0
        self.answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._sent += len(message.get("body", b""))
        if self._sent > _MOST_SENT:
            raise _TooMuchError
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answered = True
            rest = [(key, value) for key, value in message["headers"] if key not in _HEADERS]
            message = {**message, "headers": [*rest, *_HEADERS.items()]}
        await self._send(message)


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
