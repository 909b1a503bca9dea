"""Serves the page until it is told to stop."""

import importlib.util
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rireid_jax.cli.page.guard import Guard
from rireid_jax.cli.page.style import CSS
from rireid_jax.cli.page.uploads import MOST_BYTES
from rireid_jax.errors import UserError

if TYPE_CHECKING:
    import gradio as gr

_SECONDS_TO_END = 2  # for answers under way
_ANY = ("0.0.0.0", "::", "")


def check_installed() -> None:
    """Raises UserError without the extra `page`."""
    if importlib.util.find_spec("gradio") is None:
        raise UserError(
            "rireid serve: found no gradio, expected it: pip install 'rireid_jax[page]'"
        )


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder of this process and user alone, for uploads; gone at the end. Before Gradio is imported."""
    with tempfile.TemporaryDirectory(prefix="rireid-serve-", ignore_cleanup_errors=True) as folder:
        # Gradio reads these when it is imported: where uploads go, and to whom nothing is reported.
        os.environ["GRADIO_TEMP_DIR"] = folder
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
        yield Path(folder)


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens at an address; port 0 is any free one.

    Raises:
      UserError: that is not possible.
    """
    if not 0 <= port < 2**16:
        raise UserError(f"--port: found {port}, expected 0 to {2**16 - 1}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except BaseException:
            listening.close()
            raise
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"--host {host} --port {port}: {reason}, expected an address of this machine and a free port"
        ) from error
    return listening


def serve(page: "gr.Blocks", listening: socket.socket, host: str, uploads: Path) -> None:
    """Prints the address, and answers until SIGINT or SIGTERM."""
    import uvicorn

    app = application(page, host, uploads)
    port = listening.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=_SECONDS_TO_END,
            timeout_keep_alive=30,
            limit_concurrency=100,
            server_header=False,
        )
    )
    with _ending_quietly():
        print(f"http://{shown}:{port}", flush=True)
        server.run(sockets=[listening])


def application(page: "gr.Blocks", host: str, uploads: Path) -> Guard:
    """The page as an ASGI application, with the guard before it."""
    import fastapi
    import gradio as gr

    theme = gr.themes.Default(
        primary_hue="blue",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size="sm",
    )
    outer = fastapi.FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app = gr.mount_gradio_app(
        outer,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        root_path="",
        show_error=True,
        max_file_size=MOST_BYTES,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=theme,
        css=CSS,
    )
    return Guard(app, uploads, () if host in _ANY else (f"[{host}]" if ":" in host else host,))


class _EndError(BaseException):
    """A signal that asks the server to end, after it has."""


@contextmanager
def _ending_quietly() -> Iterator[None]:
    """Makes Ctrl-C and SIGTERM end the block: the server has ended by itself when it hands them on."""

    def end(number: int, frame: FrameType | None) -> None:
        raise _EndError

    before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {
        number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    except _EndError:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
