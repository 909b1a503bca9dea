"""CAVIAR4REID (Cheng et al., BMVC 2011)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rireid_jax.data.raw.base import Count, RawDataset, RawImage, image_files
from rireid_jax.errors import UserError

_PARENTS = ("", "CAVIARa", "CAVIAR4REID/CAVIARa", "CAVIAR4REID", "CAVIAR", "caviar4reid", "caviar")
_EXPECTED = "the folder CAVIARa with images such as 0001001.jpg"
_SHOTS = 10  # most images of an identity by one camera; the second camera's numbers follow
_NAME = re.compile(r"(\d{4})(\d{3})", re.ASCII)


def parse_name(path: Path) -> tuple[int, int]:
    """Identity and 0-based camera in a file name of CAVIAR4REID, ``0001001.jpg``.

    Images 1 to 10 of an identity are by camera 0, images 11 to 20 by camera 1.

    Raises:
      UserError: the name has another form, or another number of the image.
    """
    match = _NAME.fullmatch(path.stem)
    if match is None:
        raise UserError(
            f"{path}: found a name of another form, expected 4 digits of the identity and 3 of "
            "the image, such as 0001001.jpg"
        )
    number = int(match[2])
    if not 1 <= number <= 2 * _SHOTS:
        raise UserError(
            f"{path}: found image number {match[2]}, expected 001 to 010 of one camera or 011 to "
            "020 of the other"
        )
    return int(match[1]), (number - 1) // _SHOTS


class CAVIAR4REID(RawDataset):
    """One folder. 50 of the identities are seen by both cameras; the others are kept as well."""

    title = "CAVIAR4REID"
    tree = """\
CAVIARa/
  0001001.jpg ...   1,220 images: 4 digits of the identity, 3 of the image;
                    001 to 010 by one camera, 011 to 020 by the other"""
    published: ClassVar[Mapping[str, Count]] = {"": Count(1_220, 72)}
    cameras = 2
    before_both = 50  # identities

    def __init__(self, raw_dir: Path, recipe: Mapping[str, Any]):
        super().__init__(raw_dir, recipe)
        for parent in _PARENTS:
            self.root = raw_dir / parent
            if self.root.is_dir() and image_files(self.root):
                return
        raise UserError(
            f"--config.data.raw_dir: found no images in {raw_dir}, expected {_EXPECTED}"
        )

    def images(self) -> list[RawImage]:
        found: dict[str, RawImage] = {}
        for path in image_files(self.root):
            pid, camid = parse_name(path)
            if path.stem in found:
                raise UserError(
                    f"{path}: found the same number as in {found[path.stem].name}, expected each "
                    "image once"
                )
            found[path.stem] = RawImage(path.name, pid, camid, path)
        return list(found.values())

    def mismatches(self, images: Sequence[RawImage]) -> Iterator[str]:
        yield from super().mismatches(images)
        seen = [{image.pid for image in images if image.camid == camid} for camid in (0, 1)]
        both = len(seen[0] & seen[1])
        if both != self.before_both:
            yield (
                f"found {both} identities before both cameras, the full {self.title} has "
                f"{self.before_both}"
            )
