"""What a build passes over, the user is told."""

from command import TINY, overrides, succeed
from market_folder import write_market_folder


def test_bad_image_that_is_allowed(tmp_path):
    raw = write_market_folder(tmp_path / "raw", range(1, 3), range(3, 5), size=(32, 16))
    image = sorted((raw / "bounding_box_train").iterdir())[0]
    image.write_bytes(b"")
    result = succeed(
        "--config=configs/rife.py:vr_market1501",
        f"--config.data.dir={tmp_path / 'data'}",
        f"--config.data.raw_dir={raw}",
        "--config.data.max_bad_images=1",
        "--mode=build",
        *overrides(TINY),
    )
    assert f"left out: {image}: found an empty file" in result.stderr
    assert "results on a part of it are not comparable with published ones" in result.stderr
    assert "vr_market1501: builds 4 of train" in result.stderr
