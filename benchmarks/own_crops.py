"""The README's way from own crops to answers, run line by line in a fresh environment and an empty folder, and timed.

python benchmarks/own_crops.py [--people=60] [--here]

The crops are drawn: 60 people before 4 cameras, 8 crops each, 6 to 64 pixels wide; and two new ones of each of the
first ten. `--here` uses this environment instead of installing the checkout into a new one.
"""

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from rireid_jax.data.keyed_random import keyed_rng
from rireid_jax.data.pedestrians.render import render
from rireid_jax.text_table import aligned

ROOT = Path(__file__).parents[1]
HEADING = "## From your own crops to answers"
EXTRAS = "export,gallery,page,parquet,report"
ADDRESS = "http://127.0.0.1:7860"
CAMERAS, SHOTS, NEW = 4, 2, 10  # cameras; crops of a person and camera; people with new crops


def readme_lines() -> list[str]:
    """The commands of the README's script, a whole command each."""
    section = (ROOT / "README.md").read_text().partition(f"{HEADING}\n")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block, HEADING
    script = block[1].replace("\\\n", " ")
    lines = [" ".join(shlex.split(line, comments=True)) for line in script.splitlines()]
    return [line for line in lines if line]


def draw_crops(folder: Path, people: int) -> None:
    """Draws `crops/NAME/cCAMERA_SHOT.png` for every person, and `new/N.png` of the first ones."""
    for person in range(1, people + 1):
        for camera in range(CAMERAS):
            for shot in range(SHOTS):
                path = folder / "crops" / f"p{person:03}" / f"{shot}_c{camera + 1}.png"
                _draw(path, person, camera, shot)
    for number in range(1, 2 * min(NEW, people) + 1):
        _draw(
            folder / "new" / f"{number}.png",
            (number + 1) // 2,
            number % CAMERAS,
            SHOTS + number % 2,
        )


def _draw(path: Path, person: int, camera: int, shot: int) -> None:
    size = (128, 64)
    image, _ = render(0, person, camera, shot, size=size)
    width = int(keyed_rng(0, "width", str(path.name), person).integers(6, size[1] + 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).resize((width, 2 * width), Image.Resampling.BICUBIC).save(path)


def run_lines(
    lines: Sequence[str], folder: Path, environment: dict[str, str]
) -> list[tuple[str, float]]:
    """Runs every line in a folder, and returns it with its seconds. A page is served until it answers, then stopped.

    Raises:
      subprocess.CalledProcessError: a command failed.
    """
    timed = []
    for line in lines:
        print(f"$ {line}", flush=True)
        start = time.monotonic()
        if line.startswith("rireid serve"):
            _serve(line, folder, environment)
        else:
            subprocess.run(line, shell=True, cwd=folder, env=environment, check=True)
        timed.append((line, time.monotonic() - start))
    return timed


def _serve(line: str, folder: Path, environment: dict[str, str]) -> None:
    with subprocess.Popen(shlex.split(line), cwd=folder, env=environment) as server:
        try:
            while server.poll() is None:
                try:
                    with urllib.request.urlopen(ADDRESS, timeout=5) as answer:
                        print(f"{ADDRESS} answers: {answer.status}", flush=True)
                        return
                except (urllib.error.URLError, TimeoutError):
                    time.sleep(0.5)
            raise subprocess.CalledProcessError(server.returncode, line)
        finally:
            server.send_signal(signal.SIGINT)


def _new_environment(folder: Path) -> dict[str, str]:
    """Installs the checkout into a new environment, and returns the variables with which it is used."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [folder / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet"]
    constraints = ["--constraint", ROOT / "constraints.txt"]
    subprocess.run([*pip, *constraints, f"{ROOT}[{EXTRAS}]"], check=True)
    return {**os.environ, "PATH": f"{folder / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def main() -> None:
    """Does all of it in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--here", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.monotonic()
        bin_folder = Path(sys.executable).parent
        environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
        if not arguments.here:
            environment = _new_environment(folder)
        # No earlier start must make this one faster.
        environment["JAX_COMPILATION_CACHE_DIR"] = str(folder / "compiled")
        installed = time.monotonic() - start
        draw_crops(folder, arguments.people)
        timed = run_lines(readme_lines(), folder, environment)
    rows = [["seconds", "command"]]
    if not arguments.here:
        rows.append([f"{installed:.0f}", f"pip install '.[{EXTRAS}]'"])
    rows += [[f"{seconds:.0f}", line] for line, seconds in timed]
    rows.append([f"{sum(seconds for _, seconds in timed):.0f}", "all commands"])
    print(f"\n{aligned(rows)}")


if __name__ == "__main__":
    main()
