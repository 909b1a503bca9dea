"""`--mode doctor` as a user calls it."""

from command import error_line, run
from raw_folders import write_market_folder


def test_close_miss(tmp_path):
    market = write_market_folder(tmp_path / "Market-1501-v15.09.15", [1], [2], size=(32, 16))
    result = run(
        "--config=configs/joint.py:vr_market1501",
        f"--config.data.raw_dir={market / 'query'}",
        f"--config.data.dir={tmp_path / 'data'}",
        "--mode=doctor",
    )
    line = error_line(result)
    assert line.startswith(f"--config.data.raw_dir: {market / 'query'} has no bounding_box_train")
    assert "Market-1501 lies one level higher" in result.stdout
    assert result.stdout.endswith(f" --config.data.raw_dir={market}\n\n")
    assert not (tmp_path / "data").exists()
