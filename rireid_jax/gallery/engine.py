"""The one engine: pymilvus, with Milvus Lite behind a path and a server behind an address."""

import contextlib
import logging
import logging.config
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

if TYPE_CHECKING:
    from pymilvus import MilvusClient

_CONNECT_SECONDS = 10.0
_IN_USE = "found in use, expected one process and one Gallery at a time, or a Milvus server"


class Engine:
    """An open connection.

    Attributes:
      client: pymilvus's, whose calls are the same for a file and for a server.
      folder: of Milvus Lite; None for a server.
      uri: as the user gave it, without what stands before an @: it may be a password.
    """

    def __init__(self, uri: str, create: bool):
        """Connects.

        Args:
          uri: a path that ends in .db, or the address of a server.
          create: whether Milvus Lite may begin a new file.

        Raises:
          UserError: there is no such file or server, the file is in use, or a package is missing.
        """
        self.folder: Path | None = None
        scheme, separator, rest = str(uri).partition("://")
        self.uri = f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else str(uri)
        options: dict[str, Any] = {}
        address = str(uri)
        if not separator:
            self.folder = _folder(address, create)
            address = str(self.folder)
            # gRPC would send what stays in this process through a proxy of the environment.
            # Milvus Lite takes pings more often than every five minutes for an attack, and says so on stderr.
            options["grpc_options"] = {
                "grpc.enable_http_proxy": 0,
                "grpc.keepalive_time_ms": 600_000,
            }
        connect = client_class(embedded=self.folder is not None)
        self._synced: dict[str, tuple[int, int]] = {}
        try:
            with self.calling():
                self.client: MilvusClient = connect(address, timeout=_CONNECT_SECONDS, **options)
        except BaseException:
            self._let_go()
            raise

    @contextlib.contextmanager
    def calling(self, what: str = "") -> Iterator[None]:
        """Turns what Milvus refuses into one line.

        Args:
          what: names what is at fault; by default it is the gallery.

        Raises:
          UserError: Milvus refused a call, or cannot be reached.
        """
        from grpc import RpcError
        from pymilvus.exceptions import MilvusException

        try:
            yield
        except MilvusException as error:
            raise UserError(f"{what or self.uri}: {error.message}") from error
        except RpcError as error:
            raise UserError(f"{what or self.uri}: {error}") from error

    def sync(self) -> None:
        """Makes what Milvus Lite has written survive a loss of power as well as of the process.

        Milvus Lite hands every batch to the operating system before it answers, which a killed process cannot undo,
        but it does not wait for the disk, and its option for this cannot be reached through the Milvus API.
        """
        if self.folder is None:
            return
        seen = {}
        for place, _, names in os.walk(self.folder):
            for path in (*(os.path.join(place, name) for name in names), place):
                # Milvus Lite merges its files in the background.
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(path)
                    seen[path] = status.st_mtime_ns, status.st_size
                    if self._synced.get(path) != seen[path]:
                        _fsync(path)
        self._synced = seen

    def bytes_on_disk(self) -> int | None:
        """Size of Milvus Lite's files; None for a server."""
        if self.folder is None:
            return None
        total = 0
        for path in self.folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size if path.is_file() else 0
        return total

    def close(self) -> None:
        """Ends the connection, and lets other processes have the file."""
        self.client.close()
        self._let_go()
        self.sync()

    def _let_go(self) -> None:
        if self.folder is not None:
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(str(self.folder))


def client_class(embedded: bool) -> "type[MilvusClient]":
    """Imports what a gallery needs, which takes a second.

    Raises:
      UserError: a package is missing.
    """
    try:
        with _logging_as_it_is():
            import pymilvus
        if embedded:
            import milvus_lite.server_manager  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"--gallery: {error}, expected pymilvus and milvus-lite: pip install "
            "'rireid_jax[gallery]'"
        ) from error
    # They log every error with its traceback, and raise it as well; gRPC also calls that Milvus Lite does not know.
    for name in ("pymilvus", "milvus_lite", "grpc"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return pymilvus.MilvusClient


@contextlib.contextmanager
def _logging_as_it_is() -> Iterator[None]:
    """Keeps pymilvus from configuring logging when it is imported: that closes the handlers of the whole process."""
    configure = logging.config.dictConfig
    setattr(logging.config, "dictConfig", lambda config: None)  # noqa: B010  mypy
    try:
        yield
    finally:
        setattr(logging.config, "dictConfig", configure)  # noqa: B010


def _folder(uri: str, create: bool) -> Path:
    """Where Milvus Lite keeps a gallery; it is a folder, though its name is that of a file."""
    folder = Path(os.path.abspath(expanded(uri, "--gallery")))
    if folder.suffix != ".db":
        raise UserError(
            f"--gallery: found {uri!r}, expected a path that ends in .db, or http://HOST:19530"
        )
    if folder.is_file():
        raise UserError(f"{uri}: found a file, expected a folder that Milvus Lite 3 has written")
    if not folder.exists() and not create:
        raise UserError(f"{uri}: is not there, expected what `rireid gallery add` has written")
    if not folder.parent.is_dir():
        raise UserError(f"{uri}: found no folder {folder.parent}, expected one to write into")
    if not os.access(folder if folder.exists() else folder.parent, os.W_OK):
        raise UserError(f"{uri}: cannot be written, expected a gallery of your own")
    _check_free(folder, uri)
    return folder


def _check_free(folder: Path, uri: str) -> None:
    """Says in one line what Milvus Lite would say with a traceback."""
    try:
        import fcntl
    except ImportError:  # not on Windows, where Milvus Lite's own refusal has to do
        return
    try:
        lock = os.open(folder / "LOCK", os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{uri}: {_IN_USE}") from None
    finally:
        os.close(lock)


def _fsync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
