"""Small downloads, and the doctor called on them."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import raw_folders

from rireid_jax.config import base_config, stages_to, validate
from rireid_jax.doctor import doctor
from rireid_jax.errors import UserError


@pytest.fixture(scope="session")
def downloads(tmp_path_factory) -> SimpleNamespace:
    """Small downloads, which tests only read and link to."""
    root = tmp_path_factory.mktemp("downloads")
    crops = root / "crops"
    caviar = raw_folders.write_caviar(root / "1" / "CAVIARa", range(1, 7), (9,), shots=2)
    for path in sorted(caviar.iterdir()):
        (crops / path.name[:4]).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, crops / path.name[:4])
    return SimpleNamespace(
        caviar=caviar,
        viper=raw_folders.write_viper(root / "2" / "VIPeR", range(6)),
        mat=raw_folders.write_cuhk03_mat(root / "3" / "cuhk03_release", shots=1),
        extracted=raw_folders.write_cuhk03_extracted(root / "4" / "cuhk03", shots=1),
        market=raw_folders.write_market_folder(
            root / "5" / "Market-1501-v15.09.15", range(1, 5), range(5, 9), shots=2, cameras=3
        ),
        v1=raw_folders.write_msmt17(root / "6" / "MSMT17_V1", train_ids=(0, 1)),
        v2=raw_folders.write_msmt17(root / "7" / "MSMT17_V2", train_ids=(0, 1), version="V2"),
        crops=crops,
    )


@pytest.fixture
def examine(capsys, tmp_path):
    """Runs the doctor on a folder; returns what it prints, and what is wrong, or ""."""

    def examine(
        dataset: str, raw_dir: Path | str, fields: dict | None = None, **recipe: object
    ) -> tuple[str, str]:
        config = base_config(dataset)
        config.run = stages_to(config, "joint", "baseline")
        config.data.raw_dir = str(raw_dir)
        config.data.dir = str(tmp_path / "data")
        config.data.recipe.update(recipe)
        config.update_from_flattened_dict(fields or {})
        validate(config)
        raw_flag = f"--config.data.raw_dir={raw_dir}"
        problem = ""
        try:
            doctor(config, [f"--config=configs/joint.py:{dataset}", "--mode", "doctor", raw_flag])
        except UserError as error:
            problem = str(error)
        report = capsys.readouterr().out
        paths = [str(tmp_path), str(tmp_path.parent), *([str(raw_dir)] if raw_dir else [])]
        for line in report.splitlines():
            assert len(line) <= 100 or any(path in line for path in paths), line
        assert ("What to do" in report) == bool(problem)
        return report, problem

    return examine


@pytest.fixture
def healthy(examine):
    """Runs the doctor on a folder in which nothing is wrong; returns what it prints."""

    def healthy(*arguments, **recipe: object) -> str:
        report, problem = examine(*arguments, **recipe)
        assert not problem
        return report

    return healthy
