"""MLR-CUHK03, made from CUHK03 (Li et al., CVPR 2014): its MATLAB file, or images extracted from it."""

import contextlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any, ClassVar

import numpy as np

from rireid_jax.components import DATASETS, POSITIVE, Field, one_of
from rireid_jax.data.dataset import Advice, Count, Origin, RawImage
from rireid_jax.data.files import Ignored, image_files, read_bytes
from rireid_jax.data.kinds.low_camera import ONE_CAMERA_LOW, VPFA, LowCameraTrials
from rireid_jax.data.kinds.trials import SCORING
from rireid_jax.data.kinds.trials import TRIALS as TRIAL_FIELDS
from rireid_jax.data.layouts.base import Layout
from rireid_jax.data.layouts.cuhk03_mat import SHOTS, TRIALS, CUHK03Mat
from rireid_jax.data.records import decode_image, encode_png
from rireid_jax.errors import UserError

_MAT = "cuhk-03.mat"
_PARENTS = ("", "cuhk03_release", "cuhk03/cuhk03_release", "cuhk03")
_HTML = re.compile(rb"\s*<(!doctype|html|\?xml)", re.IGNORECASE)
_NAME = re.compile(r"([1-5])_(\d{3})_([12])_(0[1-9]|10)\.png", re.ASCII)


def person_pid(pair: int, person: int) -> int:
    """The identity of a person, who is numbered from 1 within a pair of cameras."""
    return 10_000 * pair + person


def parse_name(name: str, place: str) -> tuple[int, int, int]:
    """Pair, person and image, each from 1, in a name such as `1_001_1_01.png`.

    Args:
      name: of a file.
      place: where the name stands, for the error.

    Raises:
      UserError: the name has another form, or the view is not the image's.
    """
    match = _NAME.fullmatch(name)
    if match is None or int(match[3]) != _camid(int(match[4])) + 1:
        raise UserError(
            f"{place}: found a name of another form, expected <pair>_<person>_<view>_<image>.png "
            "with view 1 for images 01 to 05 and view 2 for 06 to 10, such as 1_001_1_01.png"
        )
    return int(match[1]), int(match[2]), int(match[4])


def _camid(image: int) -> int:
    return (image - 1) // (SHOTS // 2)


def _raw_image(pair: int, person: int, image: int, origin: Origin) -> RawImage:
    camid = _camid(image)
    name = f"{pair}_{person:03d}_{camid + 1}_{image:02d}.png"
    return RawImage(name, person_pid(pair, person), camid, origin)


class CUHK03(Layout):
    """Five pairs of cameras, with up to five images of a person by each camera.

    `recipe["boxes"]` says whose boxes the images are: "detected" by a machine, or "labeled" by
    hand. Names, identities, cameras, encoded images and trials are the same whether they come from
    cuhk-03.mat or from the PNG files that torchreid extracts of it. Where both are there,
    cuhk-03.mat is read.
    """

    title = "CUHK03"
    tree = """\
cuhk03_release/
  cuhk-03.mat                        1,467 identities, 14,097 detected or 14,096 labeled images
or, as torchreid extracts them,
cuhk03/
  images_detected/1_001_1_01.png ... or images_labeled
  splits_classic_detected.json       or splits_classic_labeled.json"""
    cameras = 2  # views; which pair of cameras they are is not told apart

    def __init__(self, raw_dir: Path, recipe: Mapping[str, Any]):
        super().__init__(raw_dir, recipe)
        self.boxes: str = recipe["boxes"]
        folder = f"images_{self.boxes}"
        mats = [raw_dir, *(raw_dir / parent / _MAT for parent in _PARENTS)]
        folders = [raw_dir / parent / folder for parent in _PARENTS]
        if raw_dir.name == folder:
            folders.append(raw_dir)
        self._mat = next((CUHK03Mat(path) for path in mats if path.is_file()), None)
        self._folder = next((path for path in folders if path.is_dir()), None)
        place = self._folder if self._mat is None else self._mat.path
        if place is None:
            raise UserError(
                f"--config.data.raw_dir: {raw_dir} has no {_MAT} and no {folder}, expected the "
                "folder cuhk03_release, or cuhk03 with the images that torchreid extracts"
            )
        self.root = place.parent

    @classmethod
    def counts(cls, recipe: Mapping[str, Any]) -> Mapping[str, Count]:
        return {"": Count(14_097 if recipe["boxes"] == "detected" else 14_096, 1_467)}

    @classmethod
    def advice(cls, path: Path, recipe: Mapping[str, Any]) -> Iterator[Advice]:
        with contextlib.suppress(UserError):
            for file in cls(path, recipe).sources():
                if file.suffix == ".mat":
                    with file.open("rb") as opened:
                        what = _kind(opened.read(128))
                    yield Advice(
                        f"{file.name} (a file of {file.stat().st_size:,} bytes) {what}; get it again "
                        "from the original download"
                    )
        boxes = {"detected": "labeled", "labeled": "detected"}[recipe["boxes"]]
        with contextlib.suppress(UserError, OSError):
            if cls(path, {**recipe, "boxes": boxes}).images():
                yield Advice(
                    f"only the {boxes} images are there; take them, which is another benchmark",
                    flags={"config.data.recipe.boxes": boxes},
                )

    def sources(self) -> Sequence[Path]:
        if self._mat is not None:
            return [self._mat.path]
        return [self._trials_file] if self._trials_file.is_file() else []

    def images(self) -> list[RawImage]:
        self.ignored = Ignored()
        if self._mat is not None:
            places = self._mat.list_images(self.boxes)
            found = [_raw_image(*place, origin=place) for place in places]
        else:
            assert self._folder is not None
            files = image_files(self._folder, self.ignored)
            found = [_raw_image(*parse_name(path.name, str(path)), origin=path) for path in files]
        if not found:
            raise UserError(
                f"--config.data.raw_dir: found no {self.boxes} images in "
                f"{self._folder if self._mat is None else self._mat.path}, expected 1_001_1_01.png "
                "and so on"
            )
        return found

    def official_trials(self) -> list[Collection[int]]:
        if self._mat is not None:
            testsets = self._mat.testsets(self.boxes)
            return [{person_pid(*person) for person in testset} for testset in testsets]
        path = self._trials_file
        if not path.is_file():
            raise UserError(
                f"config.data.recipe.trial_source: found 'official', but neither {_MAT} nor {path} "
                "is there, expected one of them, or trial_source='random' or a trial file"
            )
        try:
            # The paths are of the machine that extracted the images, perhaps of Windows.
            tests = [
                {PureWindowsPath(row[0]).name for row in (*trial["query"], *trial["gallery"])}
                for trial in json.loads(path.read_bytes())
            ]
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise UserError(
                f"{path}: found {type(error).__name__}: {error}, expected the {TRIALS} trials of "
                "images that torchreid writes"
            ) from error
        if len(tests) != TRIALS:
            raise UserError(f"{path}: found {len(tests)} trials, expected {TRIALS}")
        known = {image.pid for image in self.images()}
        trials: list[Collection[int]] = []
        for names in tests:
            pids = {person_pid(*parse_name(name, f"{path}, {name}")[:2]): name for name in names}
            for pid in sorted(pids.keys() - known):
                raise UserError(
                    f"{path}: found {pids[pid]}, a person who is not in {self._folder}, expected "
                    "the trials of its images"
                )
            trials.append(pids.keys())
        return trials

    @property
    def _trials_file(self) -> Path:
        assert self._folder is not None
        return self._folder.parent / f"splits_classic_{self.boxes}.json"

    def read(self, origin: Origin) -> bytes:
        if isinstance(origin, Path):
            # By way of an array, as a PNG file's colour profile would be written again.
            return encode_png(np.asarray(decode_image(read_bytes(origin), str(origin))))
        assert self._mat is not None
        return encode_png(self._mat.read(self.boxes, *origin))

    def close(self) -> None:
        if self._mat is not None:
            self._mat.close()

    def width(self, origin: Origin) -> int:
        if isinstance(origin, Path):
            return super().width(origin)
        assert self._mat is not None
        return self._mat.width(self.boxes, *origin)


def _kind(head: bytes) -> str:
    """What a file is that should be MATLAB 7.3, by its first bytes."""
    if not head:
        return "is empty"
    if _HTML.match(head):
        return "is a web page, perhaps one that asks to log in"
    if head.startswith(b"MATLAB 5.0"):
        return "was saved as MATLAB 5 by another program, while the original is MATLAB 7.3 (HDF5)"
    if head.startswith((b"MATLAB 7.3", b"\x89HDF")):
        return "is HDF5 as it should be, but damaged, cut off, or of other content"
    return "is no MATLAB file"


@DATASETS.register("mlr_cuhk03")
class MLRCUHK03(LowCameraTrials):
    """Some five images of each of 1,467 people by each of two cameras."""

    name = "mlr_cuhk03"
    layout = CUHK03
    image_size = (384, 128)
    protocol = "single_shot"
    raw = "the folder cuhk03_release with cuhk-03.mat, or with the images that torchreid extracts from it"
    trials = TRIALS
    num_identities = 1_467
    recipe: ClassVar[Mapping[str, Field]] = {
        **ONE_CAMERA_LOW,
        "boxes": Field(
            "detected",
            "`detected` by a machine or `labeled` by hand. Not published; detected is what a system meets",
            one_of("detected", "labeled"),
        ),
        "train_identities": Field(
            1367, "where `trial_source` is `random`; paper, section 5.1", POSITIVE
        ),
        **SCORING,
        **TRIAL_FIELDS,
        "trial_source": Field(
            "official",
            "the download's own trials are `official`, and are what 1367/100 refers to; or `random`, or a "
            "JSON file",
        ),
    }
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "di_reid": dict(protocol="cuhk03", repeats=100),
        "vpfa": dict(
            **VPFA, kernel="bilinear", low_in_training=False, repeats=1, trial_source="random"
        ),
    }
    example = "/data/cuhk03_release"
    page = """\
## MLR-CUHK03 (`mlr_cuhk03`)

Made from CUHK03: Li, Zhao, Xiao and Wang, *DeepReID*, CVPR 2014. Distributed by its authors at the Chinese University
of Hong Kong; users reported the links dead in 2021. Terms: not stated where we looked. `cuhk-03.mat` is enough; the
images that torchreid extracts from it give the same data set, to the bit.

<!-- layout -->

The paper's 1,367 and 100 identities are the *classic* trials, twenty of which come with the download. The *new* one
of 767 and 700 identities, which most libraries use today, is a different benchmark and none of the figures below.

<!-- recipe -->

- `mlr_cuhk03/di_reid`: a gallery for each query, a hundred times, as in the code of DIL, which has a trial of its own
  in a file.
- `mlr_cuhk03/vpfa`: the script of VPFA trains on high images alone, makes one random camera of each test identity
  low, and scores against one single random gallery. Its trials are random instead of the official ones, and as
  published its loop makes trials 10 to 12 only.

<!-- commands -->
"""

    def advice_on_trials(self) -> Iterator[Advice]:
        if self.values["trial_source"] == "official" and not self.sources():
            yield Advice(
                "these are extracted images without their trials: put splits_classic_"
                f"{self.values['boxes']}.json next to their folder, or divide at random",
                flags={"config.data.recipe.trial_source": "random"},
            )
