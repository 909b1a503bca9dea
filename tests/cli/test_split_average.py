"""The mean over splits by hand, what splits share, and a copy that is killed."""

import gc
import json
from types import SimpleNamespace

import numpy as np
import optax
import pytest
from etils import epath
from rireid_jax.runs.tables import results_table
from rireid_jax.runs.trials import average, shared_stages, split_configs, take_over

from rireid_jax.config import base_config
from rireid_jax.data.build import Built
from rireid_jax.data.build.dataset import RecordSource
from rireid_jax.evaluation.evaluate import RATES
from rireid_jax.parallel import Parallel
from rireid_jax.runs.workdir import claim_data, read_results, split_folders
from rireid_jax.training import checkpoint as checkpoint_module
from rireid_jax.training.checkpoint import Checkpoints, copy_checkpoint
from rireid_jax.training.loop import num_steps
from rireid_jax.training.state import create_state


def metrics(rate, num_query, bins, psnr=20.0, gates=()):
    return {
        "protocol": "single_shot",
        **dict.fromkeys(RATES, rate),
        **{f"{name}_std": 0.5 for name in RATES},  # over galleries: of no interest here
        "num_query": num_query,
        "num_skipped": 0,
        "num_gallery": num_query,
        "by_resolution": [
            {"low": low, "high": high, "num_query": count, "rank1": rank1, "mAP": rank1}
            for low, high, count, rank1 in bins
        ],
        "restoration": {"psnr": psnr, "psnr_bilinear": psnr, "psnr_foreground": None},
        "gates": [
            {"low": low, "high": high, "wL": [wl, 0.0], "wH": [1 - wl, 1.0]}
            for low, high, wl in gates
        ],
    }


def result(protocol_hash, step, baseline, **options):
    return {
        **metrics(**options),
        "protocol_hash": protocol_hash,
        "baseline": baseline,
        "stage": "joint",
        "step": step,
    }


SPLITS = {
    0: result(
        "a",
        10,
        metrics(0.25, 4, [(0.0, 0.5, 4, 0.25), (0.5, 1.0, 0, None)]),
        rate=0.5,
        num_query=4,
        bins=[(0.0, 0.5, 4, 0.5), (0.5, 1.0, 0, None)],
        gates=[(0.0, 0.5, 0.2)],
    ),
    3: result(
        "b",
        13,
        metrics(0.75, 4, [(0.0, 0.5, 1, 1.0), (0.5, 1.0, 3, 2 / 3)]),
        rate=1.0,
        num_query=5,
        bins=[(0.0, 0.5, 1, 1.0), (0.5, 1.0, 4, 0.75)],
        psnr=24.0,
        gates=[(0.0, 0.5, 0.6), (0.5, 1.0, 0.8)],
    ),
}


def test_average():
    mean = average(SPLITS)
    assert {mean[name] for name in RATES} == {0.75}
    assert {mean[f"{name}_std"] for name in RATES} == {0.25}  # of 0.5 and 1.0, divided by 2
    assert (mean["num_query"], mean["num_gallery"], mean["num_skipped"]) == (4.5, 4.5, 0)
    assert mean["step"] == 11.5
    # Four queries at 0.5 and one at 1; four at 0.75, and none in the other split.
    assert mean["by_resolution"] == [
        {"low": 0.0, "high": 0.5, "num_query": 2.5, "rank1": 0.6, "mAP": 0.6},
        {"low": 0.5, "high": 1.0, "num_query": 2.0, "rank1": 0.75, "mAP": 0.75},
    ]
    assert mean["restoration"] == {"psnr": 22.0, "psnr_bilinear": 22.0, "psnr_foreground": None}
    assert mean["gates"] == [
        {"low": 0.0, "high": 0.5, "wL": [0.4, 0.0], "wH": [pytest.approx(0.6), 1.0]},
        {"low": 0.5, "high": 1.0, "wL": [0.8, 0.0], "wH": [pytest.approx(0.2), 1.0]},
    ]
    baseline = mean["baseline"]
    assert (baseline["rank1"], baseline["rank1_std"], baseline["num_query"]) == (0.5, 0.25, 4)
    assert type(baseline["num_query"]) is int
    first, second = mean["splits"]
    assert (first["split"], first["protocol_hash"], first["step"]) == (0, "a", 10)
    assert (second["rank5"], second["baseline"]["mAP"], second["num_query"]) == (1.0, 0.75, 5)
    assert "rank1_std" not in first


def test_average_of_one_has_no_deviation():
    mean = average({3: SPLITS[3]})
    assert mean["rank1"] == 1.0
    assert mean["rank1_std"] is None
    assert mean["num_query"] == 5
    assert mean["by_resolution"] == SPLITS[3]["by_resolution"]
    assert mean["gates"] == SPLITS[3]["gates"]


def test_average_of_what_is_not_there():
    nothing = {**metrics(None, 4, []), "baseline": None, "stage": "ffsr", "step": 1}
    del nothing["num_skipped"]
    mean = average({k: {**nothing, "protocol_hash": str(k)} for k in range(2)})
    assert mean["mAP"] is mean["mAP_std"] is mean["baseline"] is None
    assert mean["by_resolution"] == mean["gates"] == []
    assert mean["splits"][1]["baseline"] is None


def test_protocol_hash_is_that_of_all_splits_in_order():
    hashes = {
        average({k: {**SPLITS[0], "protocol_hash": name} for k, name in enumerate(names)})[
            "protocol_hash"
        ]
        for names in (("a",), ("a", "b"), ("b", "a"), ("a", "b", "c"), ("ab",))
    }
    assert len(hashes) == 5
    assert all(len(value) == 16 and int(value, 16) >= 0 for value in hashes)


def test_table_of_splits():
    mean = average(SPLITS)
    for row in (mean, mean["baseline"]):
        row["restoration"] |= {"psnr_foreground_bilinear": None}
        row["rank5_std"] = 0.5
        row["by_resolution"] = [{"low": 0.0, "high": 0.33, "rank1": 1.0}] * 3
    rows = {"joint": mean, "baseline": mean["baseline"]}
    for split in mean["splits"]:
        split["protocol_hash"] = "0123456789abcdef"
    lines = results_table(rows, mean["splits"]).split("\n")
    assert max(map(len, lines)) <= 100
    numbers = ["75.0±25.0", "75.0±50.0", "75.0±25.0", "75.0", *["100.0"] * 3, "22.00", "-"]
    assert lines[4].split() == ["joint", *numbers]
    assert "Means over 2 splits" in lines[7]
    assert [line.split() for line in lines[-2:]] == [
        ["0", *["50.0"] * 4, *["25.0"] * 4, "0123456789abcdef"],
        ["3", *["100.0"] * 4, *["75.0"] * 4, "0123456789abcdef"],
    ]
    # Its deviation over galleries is none over splits.
    assert "±" not in results_table({"joint": SPLITS[0] | {"restoration": mean["restoration"]}})


def test_shared_stages():
    config = base_config("mlr_viper")
    config.run = ("ffsr_pretrain", "ffsr", "rife", "joint", "baseline")
    assert shared_stages(config) == ("ffsr_pretrain",)
    config.stages.ffsr.dataset = "natural_images"
    assert shared_stages(config) == ("ffsr_pretrain", "ffsr")
    config.stages.ffsr_pretrain.dataset = ""
    assert shared_stages(config) == ()
    # A classifier has as many classes as the split has identities.
    config.stages.baseline.dataset = "natural_images"
    assert shared_stages(config) == ()


def test_split_configs():
    config = base_config("caviar")
    config.data.splits = (4, 2)
    parts = split_configs(config)
    assert list(parts) == [2, 4]
    for split, part in parts.items():
        assert (part.data.recipe.split, part.data.splits) == (split, (split,))
    assert config.data.recipe.split == 0
    config.data.splits, config.data.recipe.split = (3,), 3  # as a split's own config has it
    assert split_configs(config)[3].to_dict() == config.to_dict()
    assert split_configs(base_config("pedestrians")) == {}


def test_split_folders(tmp_path):
    for name in ("split10", "split9", "split0", "split01", "splits", "split-1", "x"):
        (tmp_path / name).mkdir()
    assert split_folders(str(tmp_path)) == [str(tmp_path / f"split{k}") for k in (0, 9, 10)]
    assert split_folders(str(tmp_path / "none")) == []


@pytest.mark.parametrize(
    ("field", "value", "same"),
    [
        ("data.workers", 3, True),
        ("data.build_threads", 3, True),
        ("log_every", 7, True),
        ("eval.bins", (0.0, 1.0), False),
        ("run", ("rife",), False),
        ("seed", 1, False),
    ],
)
def test_results_of_the_same_config_are_read(tmp_path, field, value, same):
    config = base_config("mlr_viper")
    config.run = ("rife", "baseline")
    assert read_results(str(tmp_path), config) is None
    results = {"rank1": 0.5, "config": config.to_dict()}
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert read_results(str(tmp_path), config)["rank1"] == 0.5
    config.update_from_flattened_dict({field: value})
    assert (read_results(str(tmp_path), config) is not None) is same


def test_damaged_results_are_none(tmp_path):
    (tmp_path / "results.json").write_text('{"rank1": ')
    assert read_results(str(tmp_path), base_config("pedestrians")) is None


@pytest.fixture
def checkpoint(tmp_path):
    """The files of a checkpoint of step 7, in two folders."""
    folder = tmp_path / "source" / "checkpoints" / "ffsr" / "7"
    for name in ("a", "commit_success.txt", "variables/b", "variables/c/d"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def files(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()
    }


def test_copied_checkpoint(checkpoint, tmp_path):
    copy_checkpoint(str(tmp_path / "source"), str(tmp_path / "target"), "ffsr", 7)
    target = tmp_path / "target" / "checkpoints" / "ffsr"
    assert files(target / "7") == files(checkpoint)
    assert [path.name for path in target.iterdir()] == ["7"]


@pytest.fixture
def killed_copy(tmp_path, monkeypatch):
    """Kills a copy before the file that makes it complete; names of the files copied before."""
    copied = []
    copy = type(epath.Path(tmp_path)).copy

    def killed(path, *arguments, **options):
        if path.name == "commit_success.txt":
            raise KeyboardInterrupt
        copied.append(path.name)
        return copy(path, *arguments, **options)

    monkeypatch.setattr(type(epath.Path(tmp_path)), "copy", killed)
    return copied


def test_killed_copy_is_no_checkpoint(checkpoint, tmp_path, killed_copy):
    with pytest.raises(KeyboardInterrupt):
        copy_checkpoint(str(tmp_path / "source"), str(tmp_path / "target"), "ffsr", 7)
    target = tmp_path / "target" / "checkpoints" / "ffsr"
    assert [path.name for path in target.iterdir()] == ["7.orbax-checkpoint-tmp"]


def test_killed_copy_in_an_object_store_is_not_committed(
    checkpoint, tmp_path, killed_copy, monkeypatch
):
    bucket = SimpleNamespace(
        Path=lambda path: epath.Path(path.replace("gs://bucket", str(tmp_path)))
    )
    monkeypatch.setattr(checkpoint_module, "epath", bucket)
    with pytest.raises(KeyboardInterrupt):
        copy_checkpoint("gs://bucket/source", "gs://bucket/target", "ffsr", 7)
    target = tmp_path / "target" / "checkpoints" / "ffsr"
    assert [path.name for path in target.iterdir()] == ["7"]
    assert sorted(killed_copy) == ["a", "b", "d"]
    assert not (target / "7" / "commit_success.txt").exists()


# Orbax leaves the tasks behind that were to read the rest of a torn checkpoint.
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine .* was never awaited"
)
def test_stages_are_taken_over_from_the_same_data_alone(tmp_path):
    """A folder of other data of the same name and size is passed over, and so are damaged files."""
    config = base_config("pedestrians")
    splits = {"train": RecordSource([{}] * 1500)}
    data = {key: Built("natural_images", key, (), 32, splits, "") for key in ("a", "b")}
    last = num_steps(config, "ffsr_pretrain", 1500)[1]
    weights = {"super_resolution": {"bias": np.arange(3, dtype=np.float32)}}
    state = create_state({"params": weights, "batch_stats": {}}, optax.sgd(0.1), ())
    for name in ("damaged", "other"):
        with Checkpoints(str(tmp_path / name), "ffsr_pretrain") as checkpoints:
            checkpoints.save(Parallel("pmap").replicate(state), last)
        claim_data(str(tmp_path / name), {"natural_images": "a"})
    for path in (tmp_path / "damaged").rglob("manifest.ocdbt"):
        path.write_bytes(b"")
    claim_data(str(tmp_path / "torn"), {"natural_images": "a"})
    (tmp_path / "torn" / "data.json").write_text("{")
    others = [str(tmp_path / name) for name in ("nobody", "torn", "damaged", "other")]

    def taken(name, protocol):
        target = str(tmp_path / name)
        return take_over(config, "ffsr_pretrain", target, others, data[protocol])

    assert taken("mine", "b") == ""
    assert not (tmp_path / "mine").exists()
    assert taken("mine", "a") == str(tmp_path / "other")
    with Checkpoints(str(tmp_path / "mine"), "ffsr_pretrain") as checkpoints:
        copied = checkpoints.load_variables(last)["params"]["super_resolution"]["bias"]
    np.testing.assert_array_equal(copied, [0, 1, 2])
    gc.collect()
