"""Reads the report of the doctor."""

import shlex
from pathlib import Path


def look_again(report: str) -> dict[str, str]:
    """The flags of the command that the doctor ends with."""
    text = report.split("Then look again\n")[1].replace("\\\n", "")
    words = shlex.split(text)
    assert words[:3] == ["python", "-m", "rireid_jax.main"]
    return dict(word.removeprefix("--").split("=", 1) for word in words[3:])


def table_row(report: str, start: str) -> str:
    """The rest of the first line that begins with some text, its columns one space apart."""
    line = next(line for line in report.splitlines() if line.strip().startswith(start))
    return " ".join(line.strip().removeprefix(start).split())


def images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.jpg"))
