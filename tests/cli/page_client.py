"""Talks to the page as a browser does: over HTTP, by Gradio's own upload endpoint and queue."""

import json
import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class PageClient:
    """One visitor.

    Attributes:
      url: of the page.
      uploads: the folder of the server's uploads.
    """

    url: str
    uploads: Path

    def __post_init__(self) -> None:
        self.session = secrets.token_hex(5)
        config = json.loads(self.get("/config")[1])
        self.inputs: dict[
            str, tuple[int, int]
        ] = {}  # (number, inputs) of the function for an event
        for found in config["dependencies"]:
            for _, event in found["targets"]:
                self.inputs.setdefault(event, (found["id"], len(found["inputs"])))

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        return self._send(urllib.request.Request(self.url + path, headers=headers))

    def post(self, path: str, body: bytes, kind: str, **headers: str) -> tuple[int, bytes]:
        headers = {"Content-Type": kind, **headers}
        return self._send(urllib.request.Request(self.url + path, body, headers))

    def _send(self, request: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:  # refused before all was sent, or not ready yet
            return 0, b""

    def upload(self, data: bytes, name: bytes = b"a.png") -> str:
        """The path at which the server has put a file; "" if it refused it."""
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%b"\r\n\r\n' % name
        body = head + data + b"\r\n--x--\r\n"
        status, answer = self.post("/gradio_api/upload", body, "multipart/form-data; boundary=x")
        return json.loads(answer)[0] if status == 200 else ""

    def call(self, event: str, *data: Any, **more: Any) -> tuple[bool, Any]:
        """Whether a function answered, and its outputs or its message."""
        number, count = self.inputs[event]
        given = [*data, *[None] * (count - len(data))][:count]
        body = {"data": given, "fn_index": number, "session_hash": self.session, **more}
        status, answer = self.post(
            "/gradio_api/queue/join", json.dumps(body).encode(), "application/json"
        )
        if status != 200:
            return False, answer.decode()
        _, stream = self.get(f"/gradio_api/queue/data?session_hash={self.session}")
        for line in stream.decode().splitlines():
            message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
            if message.get("msg") == "process_completed":
                output = message["output"]
                return message["success"], output["data"] if message["success"] else output["error"]
        return False, "no answer"

    def ask(self, path: str, *chosen: Any) -> tuple[bool, Any]:
        """Searches with an upload; `chosen`: cameras, persons, how many, false-positive rate."""
        picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
        return self.call("upload", picture, *(chosen or ([], [], 12, 0.001)))

    def files(self) -> list[str]:
        """What lies in the folder of uploads, without a folder that Gradio makes when it starts."""
        return [p.name for p in self.uploads.rglob("*") if p.name != "vibe_edit_history"]
