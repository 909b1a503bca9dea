"""What the doctor advises where a download is nearly right, or is not there."""

from pathlib import Path

import pytest
from doctor_report import look_again

from rireid_jax.config import base_config


def link(path: Path, target: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


LABELED = ("images_labeled", "splits_classic_labeled.json")
# Close misses: the data set, what is given (made from links), and a part of the advice.
MISSES = {
    "inside": ("vr_market1501", "{market}/query", {}, "lies one level higher"),
    "far inside": ("vr_msmt17", "{v1}/train/0001", {}, "lies 2 levels higher"),
    "above": ("mlr_viper", "", {"sets/reid/here": "{viper}"}, "VIPeR lies deeper"),
    "nearby": ("caviar", "empty", {"CAVIARa": "{caviar}"}, "holds no images; is it the right one"),
    "misspelt": (
        "vr_msmt17",
        "msmt17-v2",
        {"MSMT17_V2": "{v2}"},
        "no msmt17-v2 in it; is MSMT17_V2 meant?",
    ),
    "both versions": (
        "vr_msmt17",
        "",
        {"MSMT17_V1": "{v1}", "MSMT17_V2": "{v2}"},
        "MSMT17 lies deeper",
    ),
    "other boxes": (
        "mlr_cuhk03",
        "",
        {name: f"{{extracted}}/{name}" for name in LABELED},
        "only the labeled images are there",
    ),
    "without trials": (
        "mlr_cuhk03",
        "",
        {"images_detected": "{extracted}/images_detected"},
        "extracted images without their trials",
    ),
}


@pytest.mark.parametrize("miss", MISSES)
def test_close_miss_and_what_helps(examine, downloads, tmp_path, miss):
    dataset, given, links, advice = MISSES[miss]
    for name, target in links.items():
        link(tmp_path / "raw" / name, Path(target.format(**vars(downloads))))
    raw = tmp_path / "raw" / given.format(**vars(downloads))
    if miss == "nearby":
        raw.mkdir()
    recipe = {name: 4 for name in base_config(dataset).data.recipe if name == "train_identities"}
    report, problem = examine(dataset, raw, **recipe)
    assert problem
    assert advice in " ".join(report.split())
    # The command to look again has what helps in it.
    flags = look_again(report)
    assert flags.pop("mode") == "doctor"
    assert flags.pop("config") == f"configs/joint.py:{dataset}"
    raw = flags.pop("config.data.raw_dir")
    recipe |= {name.removeprefix("config.data.recipe."): flags[name] for name in flags}
    _, problem = examine(dataset, raw, **recipe)
    assert not problem


@pytest.mark.parametrize(
    ("dataset", "given", "advice"),
    [
        ("vr_msmt17", "market", "is Market-1501, the download of mlr_market1501 and vr_market1501"),
        ("vr_market1501", "v2", "is MSMT17, the download of vr_msmt17; choose that behind the"),
        ("caviar", "viper", "is VIPeR, the download of mlr_viper"),
        ("mlr_viper", "mat", "is CUHK03, the download of mlr_cuhk03"),
    ],
)
def test_another_download(examine, downloads, dataset, given, advice):
    report, problem = examine(dataset, getattr(downloads, given))
    assert problem.startswith("--config.data.raw_dir: ")
    assert advice in " ".join(report.split())


def test_mixed_versions(examine, downloads, tmp_path):
    link(tmp_path / "raw" / "train", downloads.v1 / "train")
    link(tmp_path / "raw" / "mask_test_v2", downloads.v2 / "mask_test_v2")
    report, problem = examine("vr_msmt17", tmp_path / "raw")
    assert problem
    mixed = "mixes two versions of MSMT17, train of V1 and mask_test_v2 of V2"
    assert mixed in " ".join(report.split())


@pytest.mark.parametrize(
    ("archive", "unpack"),
    [
        ("Market-1501-v15.09.15.zip", "unzip -q {}/Market-1501-v15.09.15.zip -d {}"),
        ("market.tar.gz", "tar -xf {}/market.tar.gz -C {}"),
        ("market 1501.tar", "tar -xf '{}/market 1501.tar' -C {}"),
    ],
)
@pytest.mark.parametrize("as_file", [False, True])
def test_packed(examine, tmp_path, archive, unpack, as_file):
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / archive).write_bytes(b"")
    report, problem = examine("vr_market1501", folder / archive if as_file else folder)
    assert problem
    assert f"- {archive} is packed; unpack it" in report
    assert unpack.format(folder, folder) in report
    assert look_again(report)["config.data.raw_dir"] == str(folder)


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html>", "is a web page"),
        (b"MATLAB 5.0 MAT-file, Platform", "was saved as MATLAB 5"),
        (b"MATLAB 7.3 MAT-file".ljust(600), "is HDF5 as it should be, but damaged"),
        (b"\x00\x01", "is no MATLAB file"),
    ],
)
@pytest.mark.parametrize("as_file", [False, True])
def test_another_file_called_cuhk03(examine, tmp_path, content, advice, as_file):
    file = tmp_path / "raw" / "cuhk-03.mat"
    file.parent.mkdir()
    file.write_bytes(content)
    report, problem = examine("mlr_cuhk03", file if as_file else file.parent)
    assert problem.startswith(f"{file}: found ")
    assert advice in " ".join(report.split())


def test_nothing_given(examine):
    report, problem = examine("vr_market1501", "")
    assert problem.startswith("--config.data.raw_dir: not given, expected the folder Market-1501")
    assert "say where the files lie: --config.data.raw_dir=DIR" in report


@pytest.mark.parametrize("dataset", ["vr_msmt17", "folder"])
def test_empty_folder(examine, tmp_path, dataset):
    (tmp_path / "raw").mkdir()
    report, problem = examine(dataset, tmp_path / "raw")
    assert problem.startswith("--config.data.raw_dir: ")
    assert f"{tmp_path / 'raw'}/  empty" in report
    assert "holds no images" in report


@pytest.mark.parametrize("dataset", ["caviar", "folder"])
def test_missing_folder(examine, tmp_path, dataset):
    (tmp_path / "other").mkdir()
    report, problem = examine(dataset, tmp_path / "sets" / "raw")
    assert "is not there" in problem
    assert f"- {tmp_path} is there, but no sets in it; it holds other" in " ".join(report.split())


def test_file_in_place_of_a_folder(examine, tmp_path):
    (tmp_path / "raw").write_text("")
    report, problem = examine("vr_market1501", tmp_path / "raw")
    assert problem
    assert "raw is a file; give the folder of the download" in report
    report, _ = examine("vr_market1501", tmp_path / "raw" / "Market")
    assert f"{tmp_path / 'raw'} is a file; give the folder" in " ".join(report.split())


def prepare_as_layumi(market: Path, folder: Path) -> Path:
    """Folders of identities, as layumi's prepare.py makes them of Market-1501."""
    parts = {"bounding_box_train": ("train", "train_all"), "query": ("query",)}
    for source, splits in {**parts, "bounding_box_test": ("gallery",)}.items():
        for path in (market / source).glob("*.jpg"):
            for split in splits:
                link(folder / split / path.name.partition("_")[0] / path.name, path)
    return folder


def test_market_as_another_library_prepares_it(examine, healthy, downloads, tmp_path):
    raw = prepare_as_layumi(downloads.market, tmp_path / "raw" / "pytorch")
    prepared = (
        "looks like Market-1501 as another library prepares it, with a folder for every identity"
    )
    report = " ".join(healthy("folder", raw).split())
    assert prepared in report
    assert "choose mlr_market1501 and vr_market1501 behind the config file" in report
    assert "1 image of junk (identity -1) left out" in report
    assert "1 image of distractors (identity 0) in the gallery" in report
    assert "1 other folder with 24 images ignored: train_all" in report
    assert prepared in " ".join(healthy("folder", raw / "train_all").split())
    for dataset, given in (("vr_market1501", raw), ("folder", raw.parent)):
        report, problem = examine(dataset, given)
        assert problem
        assert prepared in " ".join(report.split())


def test_own_crops_are_no_download(healthy, downloads):
    assert "another library" not in healthy("folder", downloads.crops)


def test_what_is_ignored_and_odd(healthy, examine, downloads, tmp_path):
    raw = tmp_path / "raw"
    for path in sorted(downloads.crops.rglob("*.jpg")):
        link(raw / path.parent.name / path.name, path)
    (raw / "0001" / "notes.txt").write_text("")
    (raw / "0002" / "labels.mat").write_text("")
    report = healthy("folder", raw)
    assert "2 files with other suffixes ignored: .mat 1, .txt 1" in report
    for name in ("0005", "0006", "0009"):
        (raw / name).rename(tmp_path / name)
    assert "only 4 identities to train and to test on" in " ".join(healthy("folder", raw).split())
    for name in ("0003", "0004"):
        (raw / name).rename(tmp_path / name)
    _, problem = examine("folder", raw)
    assert problem.startswith("--config.data.raw_dir: found 2 identities and no split")


def test_options_that_let_it_go_on(healthy, examine, downloads, tmp_path):
    raw = tmp_path / "raw"
    for path in sorted(downloads.market.rglob("*.jpg")):
        if not path.name.startswith("0005") or path.parent.name == "query":
            link(raw / path.parent.name / path.name, path)
    _, problem = examine("vr_market1501", raw)
    assert "--config.data.allow_unmatched_queries=True" in problem
    report = healthy("vr_market1501", raw, {"data.allow_unmatched_queries": True})
    assert "1 of 4 identities have an image without any gallery image" in " ".join(report.split())


@pytest.mark.parametrize(
    ("place", "download", "known"),
    [
        ("market1501/Market-1501-v15.09.15", "market", "is Market-1501, the download of"),
        ("cuhk03", "extracted", "is CUHK03, the download of mlr_cuhk03"),
        ("msmt17/MSMT17_V1", "v1", "is MSMT17, the download of vr_msmt17"),
        ("viper/VIPeR", "viper", "is VIPeR, the download of mlr_viper"),
    ],
)
def test_where_torchreid_keeps_downloads(examine, downloads, tmp_path, place, download, known):
    link(tmp_path / "reid-data" / place, getattr(downloads, download))
    given = tmp_path / "reid-data" / place.partition("/")[0]
    for raw in (given, tmp_path / "reid-data"):
        report, problem = examine("folder", raw)
        assert known in " ".join(report.split())
        assert problem
