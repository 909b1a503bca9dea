"""What the doctor says of downloads that can be read, and of damage in them."""

import json
import re
import shutil

import pytest
from doctor_report import images, table_row
from PIL import Image
from raw_folders import write_market_folder

from rireid_jax.config import recipe_of
from rireid_jax.data.build import build
from rireid_jax.data.dataset import Count
from rireid_jax.data.datasets.mlr_viper import VIPeR
from rireid_jax.doctor import diagnosis


def test_market(healthy, downloads):
    report = healthy("vr_market1501", downloads.market)
    assert report.startswith("vr_market1501, recipe 'default'\n  made from  Market-1501 ")
    assert "128x256 pixels (width x height)" in report
    assert "  Market-1501-v15.09.15/\n    bounding_box_train/0002_c1s1_000451_03.jpg" in report
    assert re.search(r"bounding_box_train/ +24 images: 0001_c1s1_000000_00.jpg, \.\.\.", report)
    # 4 people x 3 cameras x 2 shots; a distractor is no identity, junk does not count.
    assert table_row(report, "on disk:   train") == "24 12,936 -12,912 4 751 -747"
    assert table_row(report, "gallery") == "25 15,913 -15,888 4"
    assert table_row(report, "to build:  train") == "24 12,936 -12,912 4 751 -747"
    assert "1 image of distractors (identity 0)" in report
    assert "not the full data set" in report
    assert table_row(report, "0  ") == "21 8 64 px 64 px 64 px"
    assert "all 64 pixels wide" in report
    assert "61 of 61 sampled images decode" in report
    assert "Next: build, then train\n  python -m rireid_jax.main" in report
    build_command = report.split("Next: build, then train\n")[1].replace("\\\n", "").split()
    assert f"--config.data.raw_dir={downloads.market}" in build_command
    assert "--mode=build" in build_command
    assert "doctor" not in build_command


def test_caviar_shows_which_camera_is_low(healthy, downloads):
    report = healthy("caviar", downloads.caviar, train_identities=3)
    assert "recipe 'custom'" in report
    assert "train_identities      3            default: 25" in report
    assert re.search(r"camera 0 \(high\) +camera 1 \(low\)", report)
    assert table_row(report, "on disk:   all") == "26 1,220 -1,194 7 72 -65"
    assert table_row(report, "to build:  train") == "12 3 3 ok"
    assert table_row(report, "1  ").startswith("12 6 12 ")  # all of them low
    assert "10 trials asked for: 0 to 9 (config.data.trials); any number can be drawn" in report
    assert "Numbers (to build: of trial 0)" in report


@pytest.mark.parametrize("source", ["mat", "extracted"])
def test_cuhk03(healthy, downloads, source):
    report = healthy("mlr_cuhk03", getattr(downloads, source))
    assert table_row(report, "on disk:   all") == "16 14,097 -14,081 8 1,467 -1,459"
    assert table_row(report, "to build:  train") == "8 4 1,367 -1,363"
    assert table_row(report, "0  ").startswith("8 8 8 ")
    assert "20 trials asked for: 0 to 19 (config.data.trials); official has 20" in report
    assert "train_identities" not in report  # without effect


def test_more_trials_asked_for_than_there_are(examine, downloads):
    _, problem = examine("mlr_cuhk03", downloads.mat, {"data.trials": (3, 25)})
    assert problem.startswith("config.data.trials: found 25, expected less than 20")


def test_full_download(healthy, downloads, monkeypatch):
    monkeypatch.setattr(VIPeR, "published", {"": Count(12, 6)})
    report = healthy("mlr_viper", downloads.viper, train_identities=3)
    assert table_row(report, "on disk:   all") == "12 12 ok 6 6 ok"
    assert "not the full data set" not in report


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_msmt17(healthy, downloads, version):
    report = healthy("vr_msmt17", getattr(downloads, version.lower()).parent)
    assert f"this is version {version} of MSMT17" in report
    assert table_row(report, "to build:  train") == "8 32,621 -32,613 2 1,041 -1,039"
    assert re.search(r"test\w*/ +4 folders with 16 images\n", report)
    assert "... 1 more folder\n" in report
    assert "list_gallery.txt, list_query.txt, list_train.txt, list_val.txt\n" in report


def test_folder(healthy, downloads):
    report = healthy("folder", downloads.crops)
    assert "made from  your own crops" in report
    assert table_row(report, "on disk:   all") == "26 7"
    assert "no cameras are named" in report
    assert "not divided by you: 50% of the identities" in report
    assert "max_width" not in report  # without effect


def test_folder_as_a_table(healthy, downloads, tmp_path):
    table = tmp_path / "crops.csv"
    rows = [f"{path},{path.parent.name},{n % 2}" for n, path in enumerate(images(downloads.crops))]
    table.write_text("\n".join(rows))
    report = healthy("folder", table)
    assert re.search(r"crops.csv +a file of [\d,]+ bytes", report)
    assert table_row(report, "on disk:   all") == "26 7"
    assert "no cameras" not in report


def test_a_benchmark_taken_for_crops(examine, downloads):
    report, problem = examine("folder", downloads.v2)  # two folders with folders of images
    assert "found mask_test_v2 and mask_train_v2, names of splits" in problem
    assert "is MSMT17, the download of vr_msmt17" in " ".join(report.split())


def test_pedestrians(healthy):
    report = healthy("pedestrians", "")
    assert "none are needed: the build draws the people itself" in report
    assert "no files are needed: the build draws them itself" in report
    assert table_row(report, "to build:  train") == "4,480 560"


def test_query_that_could_not_be_matched(examine, tmp_path):
    write_market_folder(tmp_path / "raw", range(1, 3), range(3, 5), cameras=1)
    report, problem = examine("vr_market1501", tmp_path / "raw")
    assert problem.startswith("query: 2 of 2 identities have an image without any gallery image")
    assert table_row(report, "on disk:   train")  # the rest of the report is there


def test_damage(examine, healthy, downloads, tmp_path):
    shutil.copytree(downloads.market, tmp_path / "raw")
    cut, text = images(tmp_path / "raw")[5:7]
    cut.write_bytes(cut.read_bytes()[:400])
    text.write_text("no image")
    report, problem = examine("vr_market1501", tmp_path / "raw")
    assert problem.endswith("(2 bad in a sample of 61; config.data.max_bad_images allows 0)")
    assert "59 of 61 sampled images decode" in report
    assert report.count(f"{tmp_path / 'raw'}/") > 2
    assert cut.name in report
    assert text.name in report
    report = healthy("vr_market1501", tmp_path / "raw", {"data.max_bad_images": 2})
    assert cut.name in report


def test_other_sizes(healthy, tmp_path):
    write_market_folder(tmp_path / "raw", range(1, 3), range(3, 5), size=(256, 128))
    report = healthy("vr_market1501", tmp_path / "raw")
    assert "are not of the benchmark's 64x128 pixels, such as" in report
    assert "of 128x256; is this the original download?" in " ".join(report.split())


def test_advice_on_every_problem(examine, downloads, tmp_path):
    shutil.copytree(downloads.viper, tmp_path / "raw")
    broken = tmp_path / "raw" / "cam_a" / "000_90.bmp"
    (tmp_path / "raw" / "cam_a" / "000_0.bmp").rename(broken)
    broken.write_bytes(b"no image")
    photos = {"natural_images.raw_dir": str(tmp_path / "photos")}
    report, problem = examine("mlr_viper", tmp_path / "raw", photos, train_identities=6)
    assert problem.startswith("config.data.recipe.train_identities: found 6, expected less than")
    advice = report.split("What to do\n")[1].split("Then look again")[0]
    assert re.findall(r"^  - (\S+)", advice, re.MULTILINE) == [
        "config.data.recipe.train_identities:",
        "copy",
        "--config.natural_images.raw_dir:",
    ]


def test_much_damage(examine, downloads, tmp_path):
    shutil.copytree(downloads.viper, tmp_path / "raw")
    for path in (tmp_path / "raw").rglob("*.bmp"):
        path.write_bytes(b"no image")
    report, problem = examine("mlr_viper", tmp_path / "raw", train_identities=3)
    assert "(12 bad in a sample of 12;" in problem
    assert "... and 2 more\n" in report
    assert "Widths" not in report  # nothing is known of them


@pytest.mark.parametrize("raw", ["~nosuchuser/x", "x" * 300, "/proc/1/root/\n"])
def test_folders_that_cannot_be(examine, raw):
    report, problem = examine("vr_msmt17", raw)
    assert problem
    assert "What to do" in report


def test_names_of_duke(healthy, downloads, tmp_path):
    for path in images(downloads.market):
        copy = tmp_path / "raw" / path.parent.name / path.name.replace("s1_", "_f0")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    report = healthy("vr_market1501", tmp_path / "raw")
    assert "the names are those of DukeMTMC-reID" in report


@pytest.mark.parametrize("dataset", ["vr_market1501", "mlr_market1501", "folder"])
def test_only_a_sample_is_opened(healthy, downloads, monkeypatch, dataset):
    monkeypatch.setattr(diagnosis, "WIDTHS", 7)
    monkeypatch.setattr(diagnosis, "DECODED", 3)
    opened = []

    def open_image(file, *arguments, _open=Image.open, **options):
        opened.append(file)
        return _open(file, *arguments, **options)

    monkeypatch.setattr(Image, "open", open_image)
    report = healthy(dataset, downloads.market)
    assert len(opened) == 7 + 3
    assert "Widths of 7 images, drawn by name" in report
    assert "3 of 3 sampled images decode" in report
    # The same ones every time.
    assert healthy(dataset, downloads.market) == report


def test_what_is_built_already(examine, healthy, downloads, tmp_path):
    recipe = recipe_of("vr_market1501")
    built = build(
        "vr_market1501", recipe, data_dir=str(tmp_path / "data"), raw_dir=str(downloads.market)
    )
    for raw in (downloads.market, ""):
        report = healthy("vr_market1501", raw)
        assert "24 train" in report
        assert f"protocol {built.protocol_hash}" in report
        assert built.path in report
        assert "Next: train" in report
    # Other files than it was built from.
    write_market_folder(tmp_path / "other", range(1, 3), range(3, 5))
    _, problem = examine("vr_market1501", tmp_path / "other")
    assert "are not those that" in problem
    # Files that cannot be read are not needed.
    report, problem = examine("vr_market1501", downloads.viper)
    assert problem
    assert "leave out --config.data.raw_dir" in report


def test_some_trials_are_built(healthy, downloads, tmp_path):
    recipe = recipe_of("mlr_viper") | {"train_identities": 3}
    places = dict(data_dir=str(tmp_path / "data"), raw_dir=str(downloads.viper))
    for trial in (0, 2):
        build("mlr_viper", recipe | {"trial": trial}, **places)
    report = healthy("mlr_viper", downloads.viper, {"data.trials": (0, 1, 2)}, train_identities=3)
    assert "trial 0: 6 train, 3 query, 3 gallery; protocol " in report
    assert "trial 2: 6 train" in report
    assert "1 of 3 trials are not built yet" in report
    assert "Next: build, then train" in report


def test_trials_from_a_file(healthy, downloads, tmp_path):
    file = tmp_path / "trials.json"
    ids = {"trainval": [0, 1, 2], "test_probe": [3, 4, 5], "test_gallery": [3, 4, 5]}
    file.write_text(json.dumps([ids, ids]))
    report = healthy("mlr_viper", downloads.viper, {"data.trials": (0, 1)}, trial_source=str(file))
    assert f"2 trials asked for: 0, 1 (config.data.trials); {file} has 2" in report


def test_natural_images(examine, healthy, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(4):
        Image.new("RGB", (40, 80) if n else (20, 20)).save(folder / f"{n}.png")
    fields = {"natural_images.raw_dir": str(folder)}
    report = healthy("pedestrians", "", fields)
    assert "4 of 4 sampled images decode; 1 are smaller than a crop" in report
    (folder / "2.png").write_bytes(b"no image")
    report, problem = examine("pedestrians", "", fields)
    assert problem.startswith(f"{folder / '2.png'}: found ")
    assert "3 of 4 sampled images decode" in report
