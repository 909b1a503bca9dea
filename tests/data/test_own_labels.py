"""Whom the folders and names of a user's images mean: junk, distractors, wrong levels, other suffixes."""

import logging
from collections import Counter

import pytest
import raw_folders
from own_images import own_folder, write_files
from small_recipes import build_preset

from rireid_jax.data.build import build
from rireid_jax.data.build.checks import remarks
from rireid_jax.data.files import IMAGE_SUFFIXES
from rireid_jax.errors import UserError

PEOPLE = [f"{name}/{n}.png" for name in ("ann", "bob", "cem", "dora", "eve", "fay") for n in (0, 1)]
DIVIDED = [
    *(f"train/{p}/{c}/0.png" for p in ("0002", "0007") for c in ("c1", "c2")),
    *("query/0009/c1/0.png", "gallery/0009/c2/0.png"),
]


def images_of(raw, **change):
    """Names by split and identity, of what would be built."""
    dataset = own_folder(raw, **change)
    items = [(split, item) for split, part in dataset.items.items() for item in part]
    return {
        (split, pid): sorted(i.name for s, i in items if (s, i.pid) == (split, pid))
        for split, pid in {(s, i.pid) for s, i in items}
    }


def lines_of(raw):
    dataset = own_folder(raw)
    _ = dataset.items
    return " | ".join(dataset.ignored())


@pytest.mark.parametrize(
    ("junk", "nobody"),
    [
        ("gallery/-1/-1_c1s1_x.png", "gallery/0000/0000_c1s1_x.png"),
        ("gallery/-1/c1/x.png", "gallery/0000/c2/x.png"),
        ("gallery/-1/c1/x.png", "gallery/0/0000_c3s1_x.png"),
        ("query/-1/c1/x.png", "gallery/0000/c2/x.png"),
        ("train/-1/c1/x.png", "gallery/0000/c2/x.png"),
    ],
)
def test_junk_and_distractors_in_folders(tmp_path, junk, nobody):
    """As in Market-1501: junk is left out, distractors are nobody and stay in the gallery."""
    found = images_of(write_files(tmp_path, [*DIVIDED, junk, nobody]))
    assert found["gallery", 0] == [nobody]
    assert sum(map(len, found.values())) == len(DIVIDED) + 1
    assert {pid for _, pid in found} == {0, 1, 2, 3}
    assert "1 image of junk (identity -1) left out" in lines_of(tmp_path)


def test_junk_and_distractors_without_splits(tmp_path):
    found = images_of(write_files(tmp_path, [*PEOPLE, "-1/0.png", "-1/1.png", "0000/0.png"]))
    assert found["gallery", 0] == ["0000/0.png"]
    assert sum(map(len, found.values())) == len(PEOPLE) + 1
    assert "2 images of junk" in lines_of(tmp_path)
    assert "1 image of identity 0000 taken for nobody, as in Market-1501" in lines_of(tmp_path)


def test_junk_in_names(tmp_path):
    names = [f"{p:04d}_c{c}s1_0.png" for p in (2, 7, 9, 12) for c in (1, 2)]
    found = images_of(write_files(tmp_path, [*names, "-1_c1s1_0.png", "0000_c1s1_0.png"]))
    assert found["gallery", 0] == ["0000_c1s1_0.png"]
    assert "1 image of junk (identity -1) left out" in lines_of(tmp_path)


def test_junk_in_a_list(tmp_path):
    write_files(tmp_path, [*PEOPLE, "x/0.png", "x/1.png"])
    rows = [f"{name},{name.partition('/')[0]}" for name in PEOPLE] + ["x/0.png,-1", "x/1.png,0000"]
    (tmp_path / "crops.csv").write_text("\n".join(rows))
    found = images_of(tmp_path / "crops.csv")
    assert found["gallery", 0] == ["x/1.png"]
    assert "1 image of junk" in lines_of(tmp_path / "crops.csv")


def test_identities_that_are_numbered_from_zero(tmp_path):
    """0 is a person unless the names of the images say otherwise; 0000 is one whom the user trains on or asks for."""
    found = images_of(
        write_files(tmp_path / "a", [f"{p}/{n}.png" for p in range(6) for n in (0, 1)])
    )
    assert {pid for _, pid in found} == set(range(1, 7))
    names = [name.replace("0002", "0000").replace("0009", "00") for name in DIVIDED]
    found = images_of(write_files(tmp_path / "b", names))
    assert {pid for _, pid in found} == {1, 2, 3}


def test_market_says_how_much_junk_there_is(tmp_path, caplog):
    raw = raw_folders.write_market_folder(tmp_path / "raw", (7, 8), (9,), junk=3)
    with caplog.at_level(logging.INFO):
        build_preset("vr_market1501", raw, tmp_path)
    assert "3 images of junk (identity -1) left out" in caplog.text
    assert "train 4 images of 2 identities by 2 cameras" in caplog.text
    assert "gallery 2 images of 1 identity by 2 cameras and 1 of distractors" in caplog.text


def names(text):
    """`a{1,2}/0.png` is two names."""
    found = [text]
    while any("{" in name for name in found):
        found = [
            name[: name.index("{")] + choice + name[name.index("}") + 1 :]
            for name in found
            for choice in name[name.index("{") + 1 : name.index("}")].split(",")
        ]
    return found


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("cam{1,2}/p{1,2,3}/0.png", "found cam1 and cam2, names of cameras, .*expected"),
        ("cam_{a,b}/{000,001,002}_45.png", "found cam_a and cam_b, names of cameras, .*expected"),
        ("c{1,2,3}/0001_c1s1_{0,1}.png", "found c1, c2 and c3, names of cameras, .*expected"),
        (
            "{train,query,gallery}/Camera {1,2}/p{1,2}/0.png",
            "found Camera 1 and Camera 2, names of",
        ),
        ("{ann,bob,cem,cam1}/{0,1}.png", "found cam1, a name of a camera"),
        ("IPCam-{1,2}/p{1,2}/0.png", "found IPCam-1 and IPCam-2, names of cameras"),
        ("{bbox_train,bbox_test}/{1,2}/0.png", "found bbox_test and bbox_train, names of splits"),
        (
            "{ann,bob,cem}/{0,1}.heic",
            r"found no images in .* \(6 files .*: .heic 6; 3 folders .*\), exp",
        ),
        ("{hall,door}/{ann,bob,cem}/0.png", "found 3 cameras .*ann.* for 2 identities .*expected"),
        ("{train,test}/{ann,bob}/{0,1}.png", "has no query and no gallery, expected"),
        ("{Training,Testing}/{ann,bob}/{0,1}.png", "found Testing and Training, names of splits"),
        ("{ann,bob,cem,val}/{0,1}.png", "found val, a name of a split, .*expected"),
        (
            "{ann,bob,cem}/{train,query,gallery}/0.png",
            "found gallery, query and train, names of sp",
        ),
        (
            "crops/{train,query,gallery}/{ann,bob}/0.png",
            "found a folder below <identity>/<camera>, exp",
        ),
        ("crops/{ann,bob,cem,dora}/{0,1}.png", "found 4 cameras .* for 1 identity"),
        ("{ann,bob}/{0,1}.png", "found 2 identities and no split, expected at least 3"),
        ("{train,Train,query,gallery}/{ann,bob}/0.png", "found Train and train, expected one"),
    ],
)
def test_wrong_levels(tmp_path, files, message):
    with pytest.raises(UserError, match=message) as caught:
        build_preset("folder", write_files(tmp_path / "raw", names(files)), tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "data").exists() or not list((tmp_path / "data").rglob("*"))


@pytest.mark.parametrize(
    "splits",
    ["Train Query Gallery", "TRAIN QUERY GALLERY", "Bounding_Box_Train Query Bounding_Box_Test"],
)
def test_splits_in_capitals(tmp_path, splits):
    train, query, gallery = splits.split()
    named = [f"{train}/0002_c1_0.png", f"{train}/0003_c1_0.png"]
    found = images_of(
        write_files(tmp_path, [*named, f"{query}/0009_c1_0.png", f"{gallery}/0009_c2_0.png"])
    )
    assert Counter(split for split, _ in found) == {"train": 2, "query": 1, "gallery": 1}


def test_right_levels_of_odd_names(tmp_path):
    """People before more cameras than there are people, and people whose names begin as cameras' do."""
    found = images_of(write_files(tmp_path / "a", names("{ann,bob,cem}/c{1,2,3,4,5}/0.png")))
    assert {pid for _, pid in found} == {1, 2, 3}
    found = images_of(write_files(tmp_path / "c", names("{0004,0007,0010}/{1,2,3,4,5}/0.png")))
    assert {pid for _, pid in found} == {1, 2, 3}
    found = images_of(
        write_files(
            tmp_path / "b", names("{Cameron,Camila,Valerie,Clive,Val Jones,Trainor}/{0,1}.png")
        )
    )
    assert {pid for _, pid in found} == set(range(1, 7))


def test_what_systems_leave(tmp_path):
    """Nothing of it is a person, a camera or worth a word."""
    left = ["__MACOSX/ann/x/._0.png", "ann/@eaDir/0.png/thumb.jpg", ".Trash/1.png", "bob/.DS_Store"]
    found = images_of(write_files(tmp_path, [*PEOPLE, *left]))
    assert sum(map(len, found.values())) == len(PEOPLE)
    assert lines_of(tmp_path) == ""


def test_columns_in_another_order(tmp_path):
    raw = write_files(tmp_path, [f"{n}.png" for n in range(6)])
    rows = [f"{n}.png,cam{n % 2},p{n % 3}" for n in range(6)]
    (raw / "crops.csv").write_text("\n".join(rows))
    with pytest.raises(UserError, match=r"found cam0 and cam1, names of cameras, .*expected"):
        _ = own_folder(raw / "crops.csv").items
    (raw / "crops.csv").write_text("\n".join(f"{n}.png,train,cam{n % 2}" for n in range(6)))
    with pytest.raises(UserError, match=r"found train, a name of a split, .*expected"):
        _ = own_folder(raw / "crops.csv").items


@pytest.mark.parametrize("dataset", ["folder", "vr_market1501"])
def test_a_single_training_identity(tmp_path, dataset):
    raw = raw_folders.write_market_folder(tmp_path / "raw", (7,), (8, 9))
    with pytest.raises(UserError, match="train: found 1 identity, expected at least 2"):
        build_preset(dataset, raw, tmp_path)


def test_remarks(tmp_path):
    few = own_folder(write_files(tmp_path / "a", PEOPLE[:8]))
    (line,) = remarks(few)
    assert "4 identities" in line
    one = own_folder(write_files(tmp_path / "c", PEOPLE), test_fraction=0.1)
    (line,) = remarks(one)
    assert "the gallery shows a single identity" in line
    many = own_folder(
        write_files(tmp_path / "b", names("{ann,bob,cem,dora,eve,fay}/im_c{1,2,3,4,5,6,7}.png"))
    )
    (line,) = remarks(many)
    assert "7 cameras for 6 identities" in line


def test_remarks_and_numbers_come_before_the_build(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        build_preset("folder", write_files(tmp_path / "raw", PEOPLE[:8]), tmp_path)
    (numbers,) = (record for record in caplog.records if ": builds " in record.getMessage())
    text = numbers.getMessage()
    assert "train 4 images of 2 identities, query 2 images of 2 identities, gallery 2" in text
    assert "4 identities" in caplog.text


def test_every_suffix_that_decodes(tmp_path):
    suffixes = (*IMAGE_SUFFIXES, ".JFIF", ".Png", ".GIF")
    people = [f"{suffix}s/{n}{suffix}".lstrip(".") for suffix in suffixes for n in (0, 1)]
    assert {".jfif", ".pgm", ".gif", ".jpg", ".png"} < set(IMAGE_SUFFIXES)
    built = build_preset("folder", write_files(tmp_path / "raw", people), tmp_path)
    found = [record.name for source in built.splits.values() for record in source]
    assert sorted(found) == sorted(people)


def test_what_is_ignored_is_named(tmp_path, caplog):
    others = [
        "ann/a.txt",
        "bob/b.TXT",
        "labels.mat",
        "cem/README",
        "ann/x.heic",
        "eve/v.pfm",
        "eve/.0.png",
    ]
    write_files(tmp_path / "raw", [*PEOPLE, *others, "nobody/", "eve/._0.png", ".git/config"])
    with caplog.at_level(logging.INFO):
        build_preset("folder", tmp_path / "raw", tmp_path)
    line = "6 files with other suffixes ignored: .txt 2, .heic 1, .mat 1, .pfm 1, none 1"
    assert line in caplog.text
    assert "1 hidden image ignored" in caplog.text
    assert "1 folder without images ignored: nobody" in caplog.text
    caplog.clear()
    build_preset("folder", tmp_path / "raw", tmp_path)  # which opens it
    assert line in caplog.text


def test_what_lies_next_to_the_splits_is_named(tmp_path):
    others = ["train_all/0002/0.png", "train_all/0003/0.png", "lone.png", "readme.md"]
    lines = lines_of(write_files(tmp_path, [*DIVIDED, *others]))
    assert "1 file with other suffixes ignored: .md 1" in lines
    assert "1 other folder with 2 images ignored: train_all" in lines
    assert "1 image ignored, next to the folders" in lines


def test_what_a_list_does_not_name(tmp_path):
    write_files(tmp_path, [*PEOPLE, "ann/9.png", "bob/9.txt"])
    (tmp_path / "crops.csv").write_text("\n".join(f"{name},{name[:3]}" for name in PEOPLE))
    assert "1 image next to the listed ones ignored" in lines_of(tmp_path / "crops.csv")


@pytest.mark.parametrize(
    "dataset", ["mlr_viper", "vr_market1501", "caviar", "natural_images", "mlr_cuhk03", "vr_msmt17"]
)
def test_other_files_in_downloads(tmp_path, dataset, caplog):
    raw = tmp_path / "raw"
    change, beside = {}, ""
    if dataset == "mlr_viper":
        raw_folders.write_viper(raw, range(6))
        change, beside = {"train_identities": 3}, "cam_a/"
    elif dataset == "caviar":
        raw_folders.write_caviar(raw)
        change = {"train_identities": 3}
    elif dataset == "mlr_cuhk03":
        raw_folders.write_cuhk03_extracted(raw)
        beside = "images_detected/"
    elif dataset == "vr_msmt17":
        raw_folders.write_msmt17(raw)
        beside = "train/0001/"
    else:
        raw_folders.write_market_folder(raw, (7, 8), (9,))
        beside = "query/"
    write_files(raw, [f"{beside}lies mich.txt", f"{beside}notes.doc"])
    with caplog.at_level(logging.INFO):
        if dataset == "natural_images":
            recipe = dict(count=9, size=(16, 8), seed=0)
            build(dataset, recipe, data_dir=str(tmp_path / "data"), raw_dir=str(raw))
        else:
            build_preset(dataset, raw, tmp_path, **change)
    if dataset == "vr_msmt17":  # its lists say what there is
        assert "ignored" not in caplog.text
    else:
        assert "2 files with other suffixes ignored: .doc 1, .txt 1" in caplog.text
