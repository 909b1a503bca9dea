"""A folder like Market-1501-v15.09.15, with drawn people."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from rireid_jax.data.pedestrians import render


def write_market_folder(
    path: Path,
    train_ids: Sequence[int],
    test_ids: Sequence[int],
    *,
    cameras: int = 2,
    shots: int = 1,
    distractors: int = 1,
    junk: int = 1,
    size: tuple[int, int] = (128, 64),
) -> Path:
    """Writes JPEG files named as in Market-1501 into the benchmark's three folders, and returns `path`.

    Every training identity has `shots` images by each camera, every test identity one query and `shots`
    gallery images by each camera. The gallery also has distractors (identity 0000) and junk (-1). `size` is
    (height, width).
    """

    def write(folder: str, name: str, identity: int, camera: int, shot: int) -> None:
        (path / folder).mkdir(parents=True, exist_ok=True)
        file = path / folder / f"{name}_c{camera + 1}s1_{shot:06d}_00.jpg"
        image, _ = render(0, identity, camera, shot, size=size)
        Image.fromarray(image).save(file, quality=95)

    for pid in train_ids:
        for camera in range(cameras):
            for shot in range(shots):
                write("bounding_box_train", f"{pid:04d}", pid, camera, shot)
    for pid in test_ids:
        for camera in range(cameras):
            write("query", f"{pid:04d}", pid, camera, shots)
            for shot in range(shots):
                write("bounding_box_test", f"{pid:04d}", pid, camera, shot)
    for n in range(distractors):
        write("bounding_box_test", "0000", 10_000 + n, n % cameras, n)
    for n in range(junk):
        write("bounding_box_test", "-1", 20_000 + n, n % cameras, n)
    return path
