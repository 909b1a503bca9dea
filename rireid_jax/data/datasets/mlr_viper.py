"""MLR-VIPeR, made from VIPeR (Gray, Brennan and Tao, PETS 2007)."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from rireid_jax.components import DATASETS, POSITIVE, Field
from rireid_jax.data.dataset import Count, RawImage
from rireid_jax.data.files import Ignored, counted, image_files, some_of
from rireid_jax.data.kinds.low_camera import ONE_CAMERA_LOW, VPFA, LowCameraTrials
from rireid_jax.data.kinds.trials import SCORING, TRIALS
from rireid_jax.data.layouts.base import Layout, find_root
from rireid_jax.errors import UserError

FOLDERS = ("cam_a", "cam_b")  # cameras 0 and 1
_NAME = re.compile(r"(\d{3})_\d{1,3}", re.ASCII)


def parse_name(path: Path) -> int:
    """Identity in a file name of VIPeR, `000_45.bmp`; what follows is the angle in degrees.

    Raises:
      UserError: the name has another form.
    """
    match = _NAME.fullmatch(path.stem)
    if match is None:
        raise UserError(
            f"{path}: found a name of another form, expected <identity>_<angle>.bmp, such as "
            "000_45.bmp"
        )
    return int(match[1])


class VIPeR(Layout):
    """A folder per camera; every identity has one image in each."""

    title = "VIPeR"
    tree = """\
VIPeR/
  cam_a/000_45.bmp ...   632 images
  cam_b/000_45.bmp ...   632 images of the same identities"""
    published: ClassVar[Mapping[str, Count]] = {"": Count(1_264, 632)}
    cameras = 2
    size = (48, 128)

    def __init__(self, raw_dir: Path, recipe: Mapping[str, Any]):
        super().__init__(raw_dir, recipe)
        self.root = find_root(
            raw_dir,
            ("", "VIPeR", "viper/VIPeR", "VIPeR.v1.0", "viper"),
            FOLDERS,
            "the folder VIPeR with cam_a and cam_b",
        )

    def images(self) -> list[RawImage]:
        self.ignored = Ignored()
        seen: tuple[dict[int, Path], ...] = tuple(self._camera(name) for name in FOLDERS)
        alone = [
            f"{FOLDERS[camid]}/{files[pid].name}"
            for camid, files in enumerate(seen)
            for pid in sorted(files.keys() - seen[1 - camid].keys())
        ]
        if alone:
            raise UserError(
                f"{self.root}: found {counted(len(alone), 'identity')} by one camera alone ({some_of(alone, 3)}), "
                "expected an image of each in both cam_a and cam_b"
            )
        return [
            RawImage(f"{FOLDERS[camid]}/{path.name}", pid, camid, path)
            for camid, files in enumerate(seen)
            for pid, path in files.items()
        ]

    def _camera(self, name: str) -> dict[int, Path]:
        folder = self.root / name
        if not folder.is_dir():
            raise UserError(f"{folder}: found a file, expected a folder of images")
        files: dict[int, Path] = {}
        for path in image_files(folder, self.ignored):
            pid = parse_name(path)
            if pid in files:
                raise UserError(
                    f"{path}: found a second image of identity {pid:03d} next to "
                    f"{files[pid].name}, expected one in each camera"
                )
            files[pid] = path
        if not files:
            raise UserError(
                f"--config.data.raw_dir: found no images in {folder}, expected 000_45.bmp and so on"
            )
        return files


@DATASETS.register("mlr_viper")
class MLRVIPeR(LowCameraTrials):
    """One image of each of 632 people by each of two cameras."""

    name = "mlr_viper"
    layout = VIPeR
    image_size = (384, 128)
    protocol = "single_shot"
    raw = "the folder VIPeR with cam_a and cam_b"
    trials = 10
    num_identities = 632
    recipe: ClassVar[Mapping[str, Field]] = {
        **ONE_CAMERA_LOW,
        "train_identities": Field(316, "the others are for testing; paper, section 5.1", POSITIVE),
        **SCORING,
        **TRIALS,
    }
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "di_reid": dict(protocol="cuhk03", repeats=100),
        "vpfa": dict(**VPFA, ratio_per="identity", jpeg_quality=75, protocol="market"),
    }
    example = "/data/VIPeR"
    page = """\
## MLR-VIPeR (`mlr_viper`)

Made from VIPeR: Gray, Brennan and Tao, *Evaluating Appearance Models for Recognition, Reacquisition, and Tracking*,
PETS 2007 (the paper cites Gray and Tao, ECCV 2008). Distributed by the University of California, Santa Cruz, whose
page has been behind a login since 2019; copies circulate. Terms: not stated where we looked.

<!-- layout -->

Every image of one camera is made low and becomes a query; the other camera's are the gallery. With one image per
identity and camera, `single_shot`, `cuhk03` and `market` score alike here: what differs between recipes is the
making.

<!-- recipe -->

- `mlr_viper/di_reid`: scored as in the code of DIL. The low images themselves are not described there: users
  make the data.
- `mlr_viper/vpfa`: the script of VPFA draws the low camera and one ratio for each identity, and stores JPEG of
  Pillow's default quality. Gallery and queries are thus from both cameras. Its ten trials have other seeds than ours.

<!-- commands -->
"""
