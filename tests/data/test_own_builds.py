"""Builds of a user's images: several folders side by side, and what goes on where the user allows it."""

import json
import logging
import shutil
from pathlib import Path

import pytest
from own_images import own_folder, write_files
from PIL import Image
from raw_folders import write_caviar, write_market_folder, write_msmt17
from small_recipes import build_preset

from rireid_jax.config import recipe_of
from rireid_jax.data.build import build
from rireid_jax.data.build.builder import RecordBuilder
from rireid_jax.errors import UserError

PEOPLE = [f"{name}/{n}.png" for name in ("ann", "bob", "cem", "dora", "eve") for n in (0, 1)]
PHOTOS = dict(count=4, size=(8, 4), seed=0)


def images_of(built):
    return {record.name: record.image for source in built.splits.values() for record in source}


def photos(tmp_path, raw):
    return build("natural_images", PHOTOS, data_dir=str(tmp_path / "data"), raw_dir=str(raw))


def test_two_folders_side_by_side(tmp_path):
    a = write_files(tmp_path / "a", PEOPLE)
    b = write_files(tmp_path / "b", [name.replace("ann", "ida") for name in PEOPLE])
    first, second = (build_preset("folder", raw, tmp_path) for raw in (a, b))
    assert first.path != second.path
    for raw, built in ((a, first), (b, second)):
        assert build_preset("folder", raw, tmp_path).path == built.path
        found = images_of(built)
        assert found == {name: (raw / name).read_bytes() for name in found}
    # By whichever way it is reached.
    (tmp_path / "link").symlink_to(b)
    assert build_preset("folder", tmp_path / "link", tmp_path).path == second.path
    assert build_preset("folder", tmp_path / "a" / ".." / "b", tmp_path).path == second.path


def test_folders_of_the_same_names_and_sizes(tmp_path):
    """Their results are not comparable, nor is what was trained on one of them of use for the other."""
    names = [name.replace(".png", ".bmp") for name in PEOPLE]
    a = write_files(tmp_path / "a", names)
    b = shutil.copytree(a, tmp_path / "b")
    same = build_preset("folder", b, tmp_path)
    assert same.protocol_hash == build_preset("folder", a, tmp_path).protocol_hash
    c = shutil.copytree(a, tmp_path / "c")
    shutil.copy(c / names[0], c / names[1])
    assert build_preset("folder", c, tmp_path).protocol_hash != same.protocol_hash


def test_a_list_and_its_folder(tmp_path):
    raw = write_files(tmp_path / "raw", PEOPLE)
    (tmp_path / "crops.csv").write_text("\n".join(f"raw/{name},{name[:3]}" for name in PEOPLE))
    built = [build_preset("folder", path, tmp_path) for path in (raw, tmp_path / "crops.csv")]
    assert built[0].path != built[1].path


def test_without_the_raw_files(tmp_path):
    """The only build is taken; of several, none is guessed."""
    a, b = (write_files(tmp_path / name, PEOPLE) for name in "ab")
    first = build_preset("folder", a, tmp_path)
    assert build_preset("folder", "", tmp_path).path == first.path
    with pytest.raises(UserError, match="raw_dir: not given, expected"):
        build_preset("folder", "", tmp_path, seed=1)
    build_preset("folder", b, tmp_path)
    with pytest.raises(UserError, match=f"not given, found builds of {a}, {b} in .*, expected one"):
        build_preset("folder", "", tmp_path)


def test_changed_files_are_noticed(tmp_path):
    raw = write_files(tmp_path / "raw", PEOPLE)
    build_preset("folder", raw, tmp_path)
    (raw / PEOPLE[0]).unlink()
    with pytest.raises(UserError, match="are not those that"):
        build_preset("folder", raw, tmp_path)


def test_two_folders_of_photographs(tmp_path):
    a = write_files(tmp_path / "a", [f"{n}.png" for n in range(4)])
    b = write_files(tmp_path / "b", [f"{n}.png" for n in range(4, 8)])
    first, second = photos(tmp_path, a), photos(tmp_path, b)
    assert first.path != second.path
    assert photos(tmp_path, "").path not in (first.path, second.path)  # dead leaves


def test_photographs_built_by_an_earlier_version(tmp_path, monkeypatch):
    """They stay where they are, and serve the files that they were built from."""
    a = write_files(tmp_path / "a", [f"{n}.png" for n in range(4)])
    b = write_files(tmp_path / "b", [f"{n}.png" for n in range(4, 8)])
    with monkeypatch.context() as patch:
        patch.setattr("rireid_jax.data.datasets.natural_images.NaturalImages.source", lambda _: "")
        earlier = photos(tmp_path, a)
    assert photos(tmp_path, a).path == earlier.path
    assert photos(tmp_path, b).path != earlier.path


def test_two_versions_of_msmt17(tmp_path):
    versions = [
        build_preset("vr_msmt17", write_msmt17(tmp_path / v, version=v), tmp_path)
        for v in ("V1", "V2")
    ]
    assert versions[0].path != versions[1].path
    assert versions[0].protocol_hash != versions[1].protocol_hash
    assert build_preset("vr_msmt17", tmp_path / "V2", tmp_path).path == versions[1].path


def test_place_does_not_depend_on_other_builds(tmp_path):
    raw = write_files(tmp_path / "raw", PEOPLE)
    builder = RecordBuilder(own_folder(raw), data_dir=str(tmp_path / "data"))
    assert str(builder.data_path) == build_preset("folder", raw, tmp_path).path
    metadata = json.loads((builder.data_path / "metadata.json").read_text())
    assert metadata["source"] == str(raw)


LONE = [f"{part}/{p}/c{c}/0.png" for p in "pq" for part, c in (("query", 1), ("gallery", 2))]
TRAINED = [f"train/{p}/c1/{n}.png" for p in "ab" for n in (0, 1)]


def test_a_query_without_a_match(tmp_path, caplog):
    raw = write_files(tmp_path / "raw", [*TRAINED, *LONE, "query/r/c1/0.png"])
    places = dict(data_dir=str(tmp_path / "data"), raw_dir=str(raw))
    flag = "--config.data.allow_unmatched_queries=True"
    with pytest.raises(UserError, match=rf"query: 1 of 3 .*r/c1/0.png.*never be matched; {flag}"):
        build("folder", recipe_of("folder"), **places)
    with caplog.at_level(logging.INFO):
        built = build("folder", recipe_of("folder"), allow_unmatched_queries=True, **places)
    assert len(built.splits["query"]) == 3
    assert "1 of 3 identities have an image without any gallery image" in caplog.text
    # None is too few, and so is none that is left after bad images were left out.
    for name in LONE:
        if name.startswith("gallery"):
            (raw / name).write_bytes(b"")
    places["data_dir"] = str(tmp_path / "again")
    with pytest.raises(UserError, match="no image of use for gallery"):
        build(
            "folder", recipe_of("folder"), allow_unmatched_queries=True, max_bad_images=9, **places
        )
    write_files(raw, ["gallery/z/c2/0.png"])
    with pytest.raises(UserError, match=r"query: 3 of 3 .*never be matched, expected some"):
        build(
            "folder", recipe_of("folder"), allow_unmatched_queries=True, max_bad_images=9, **places
        )


def test_a_match_that_is_a_bad_image(tmp_path):
    raw = write_files(tmp_path / "raw", [*TRAINED, *LONE])
    (raw / "gallery/q/c2/0.png").write_bytes(b"")
    places = dict(data_dir=str(tmp_path / "data"), raw_dir=str(raw), max_bad_images=1)
    with pytest.raises(UserError, match="gallery"):
        build("folder", recipe_of("folder"), **places)
    built = build("folder", recipe_of("folder"), allow_unmatched_queries=True, **places)
    assert [len(built.splits[split]) for split in ("query", "gallery")] == [2, 1]


def test_benchmarks_too(tmp_path, caplog):
    raw = write_market_folder(tmp_path / "raw", (1, 2), (3, 4))
    for path in Path(raw, "bounding_box_test").glob("0003*"):
        path.unlink()
    places = dict(data_dir=str(tmp_path / "data"), raw_dir=str(raw))
    recipe = recipe_of("vr_market1501")
    with pytest.raises(UserError, match="query: 1 of 2"):
        build("vr_market1501", recipe, **places)
    assert build("vr_market1501", recipe, allow_unmatched_queries=True, **places).splits
    assert "query: 1 of 2" not in caplog.text
    assert "1 of 2 identities have an image without any gallery image" in caplog.text


def test_images_in_no_split_are_counted(tmp_path, caplog):
    raw = write_caviar(tmp_path / "raw", (1, 2, 3, 4, 5, 6), (8, 9))
    build_preset("caviar", raw, tmp_path, train_identities=3)
    assert "4 of 28 images are in no split (2 identities among them)" in caplog.text


def test_images_behind_the_first_are_counted(tmp_path, caplog):
    raw = write_files(tmp_path / "raw", [*TRAINED, *LONE])
    page, second = (Image.new("RGB", (8, 16), colour) for colour in ("black", "red"))
    for name, more in (("1.gif", [second]), ("2.tif", [second]), ("3.gif", [])):
        page.save(raw / "train" / "a" / "c1" / name, save_all=True, append_images=more)
    build_preset("folder", raw, tmp_path)
    assert "2 image files with more than one frame or page: the first one is taken" in caplog.text


def test_identities_in_training_and_in_test(tmp_path, caplog):
    raw = write_files(tmp_path / "raw", [*TRAINED, *LONE, "train/p/c1/7.png", "gallery/a/c2/7.png"])
    message = "found the identity of .* too, expected .*, 2 identities in both; --.*shared_identities=True"
    with pytest.raises(UserError, match=message):
        build_preset("folder", raw, tmp_path)
    built = build(
        "folder",
        recipe_of("folder"),
        data_dir=str(tmp_path / "data"),
        raw_dir=str(raw),
        allow_shared_identities=True,
    )
    assert sum(map(len, built.splits.values())) == len(TRAINED) + len(LONE) + 2
    assert "2 identities both in training and in test" in caplog.text


def test_people_who_are_lost_with_their_images(tmp_path):
    raw = write_files(tmp_path / "raw", [*TRAINED, *LONE])
    for n in (0, 1):
        (raw / f"train/a/c1/{n}.png").write_bytes(b"")
    places = dict(data_dir=str(tmp_path / "data"), raw_dir=str(raw), max_bad_images=2)
    with pytest.raises(UserError, match="train: found 1 identity, expected at least 2"):
        build("folder", recipe_of("folder"), **places)
