"""A user's own crops, a directory for each identity, on two devices."""

import json

from command import TINY, overrides, succeed
from PIL import Image

from rireid_jax.data.pedestrians import render


def test_folder(tmp_path):
    raw = tmp_path / "crops"
    for identity, name in enumerate(("Ada", "Bob Ross", "Čapek", "Dora")):
        (raw / name).mkdir(parents=True)
        for camera in (1, 2):
            for shot in range(2):
                image, _ = render(0, identity, camera, shot, size=(32 + 8 * shot, 16))
                Image.fromarray(image).save(raw / name / f"{shot}_c{camera}.jpg")
    workdir = tmp_path / "run"
    result = succeed(
        "--config=configs/rife.py:folder",
        f"--config.data.raw_dir={raw}",
        f"--config.data.dir={tmp_path / 'data'}",
        f"--workdir={workdir}",
        *overrides(TINY),
        # One stage of one epoch, scored on the way.
        "--config.run=('baseline',)",
        "--config.baseline=",
        "--config.parallel=shard_map",
        "--config.stages.baseline.epochs=1",
        "--config.eval.every_epochs=1",
        devices=2,
    )
    results = json.loads((workdir / "results.json").read_text())
    assert results["dataset"] == "folder"
    assert results["stage"] == "baseline"
    assert results["baseline"] is None
    assert results["gates"] == []
    assert results["versions"]["num_devices"] == 2
    # Two of four identities are for testing, each with a query from both cameras.
    assert (results["num_query"], results["num_gallery"]) == (4, 4)
    assert 0 <= results["rank1"] <= results["rank10"] == 1
    # Nothing was down-sampled, so nothing is known of a higher resolution.
    assert set(results["restoration"].values()) == {None}
    assert "baseline" in result.stdout
    assert (workdir / "ranked.png").exists()
    (best,) = (workdir / "checkpoints" / "baseline").iterdir()
    assert best.name == str(results["step"])
