"""`rireid serve` on a small random network, a gallery and a run that are made first: python page_process.py FOLDER.

The command is the real one, only the model is not read from a file.
"""

import json
import sys
from pathlib import Path

import numpy as np
from networks import network_of
from PIL import Image

import rireid_jax.cli.commands.serve as command
from rireid_jax.evaluation.calibration import BinPair, Estimate, Point
from rireid_jax.evaluation.scoring import Outcomes
from rireid_jax.gallery import Entry, Gallery
from rireid_jax.main import rireid
from rireid_jax.models.network import initialise
from rireid_jax.runs.calibration import Calibration, calibration_file
from rireid_jax.runs.extractor import Extractor
from rireid_jax.runs.queries import Queries, write_queries

# Names that would do harm where they are not taken as text: HTML, Gradio's two template languages, Markdown.
HOSTILE = "<img src=x onerror=alert(1)>{{value}}${1+1}`*"
PEOPLE = ("ana", "bob", HOSTILE)


def extractor() -> Extractor:
    network = network_of("rife", super_resolution="ffsr", width=1 / 8)
    return Extractor(network, initialise(network, 0, (32, 16)), (32, 16), 4, normalised=True)


def crops(folder: Path) -> list[Entry]:
    """Pictures of three persons by two cameras in FOLDER/crops; one of them is a link to a file outside."""
    rng = np.random.default_rng(0)
    (folder / "crops").mkdir()
    entries = []
    for p, person in enumerate(PEOPLE):
        base = rng.integers(256, size=(8, 4, 3), dtype=np.uint8)
        for camera in ("c1", "c2"):
            name = f"{p}_{camera}.png"
            size = (6, 12) if camera == "c1" else (16, 32)
            Image.fromarray(base).resize(size).save(folder / "crops" / name)
            entries.append(
                Entry(name, person, camera, native_width=size[0], resolution=size[0] / 16)
            )
    Image.new("RGB", (16, 32), (1, 2, 3)).save(folder / "secret.png")
    (folder / "crops" / "link.png").symlink_to(folder / "secret.png")
    names = ("link.png", "../secret.png", str(folder / "secret.png"))
    return [*entries, *(Entry(n, "eve", "c9", native_width=16, resolution=1.0) for n in names)]


def results(folder: Path) -> None:
    """A run of two systems on four queries, as it would leave its results."""
    edges = [(0.0, 0.5, 3), (0.5, 1.0, 1)]
    systems = {
        name: [
            {"low": low, "high": high, "rank1": rate, "mAP": rate / 2, "num_query": n}
            for low, high, n in edges
        ]
        for name, rate in (("joint", 0.75), ("baseline", 0.5))
    }
    found = {
        "stage": "joint",
        "by_resolution": systems["joint"],
        "baseline": {"by_resolution": systems["baseline"]},
        "config": {"baseline": "baseline"},
    }
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(found))
    (folder / "results.txt").write_text("system  Rank-1\njoint     75.0\n")
    Image.new("RGB", (40, 20), (9, 9, 9)).save(folder / "ranked.png")
    pids, r = np.array([1, 2, 3, 3]), np.float32([0.2, 0.4, 0.5, 0.9])
    ours = Outcomes(pids, r, np.array([1.0, 0, np.nan, 1]), np.array([0.9, 0.1, np.nan, 0.5]))
    write_queries(str(folder), Queries(pids, r, {"joint": ours}))


def calibration(model: Extractor) -> Calibration:
    """Whatever is nearer than 0.01 is the same person, but nothing is known about two sharp images."""
    point = Point(0.001, 0.01, Estimate(0.001, 0, 0.002), Estimate(0.5, 0.4, 0.6))
    pairs = [BinPair(bins, 9000, 90, 30, 435, 30, (point,)) for bins in ((0, 0), (0, 1))]
    pairs.append(BinPair((1, 1), 0, 0, 1, 0, 0, ()))
    return Calibration(model.fingerprint, 16, (0.0, 0.5, 1.0), "folder", "", 30, 90, tuple(pairs))


def main(folder: Path) -> None:
    model = extractor()
    entries = crops(folder)
    pictures = [folder / "crops" / entry.name for entry in entries]
    results(folder / "run")
    calibration(model).write(calibration_file(folder / "run"))
    uri = str(folder / "people.db")
    with Gallery.open(uri, model.fingerprint, model.width_max, create=True) as gallery:
        gallery.add(entries, model.extract(pictures))
    command.open_model = lambda arguments: model
    flags = ("--gallery", uri, "--images", str(folder / "crops"), "--port", "0")
    sys.argv = ["rireid", "serve", "--model", str(folder / "run"), *flags]
    rireid()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
