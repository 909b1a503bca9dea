"""CSV files of images as people and their programs write them: for training, and for commands."""

import logging

import pytest
from own_images import own_folder, write_files

from rireid_jax.data.files import Ignored
from rireid_jax.data.layouts.crop_list import read_crop_list
from rireid_jax.errors import UserError
from rireid_jax.runs.image_lists import list_images

PEOPLE = [f"{name}/{n}.png" for name in ("ann", "bob", "cem") for n in (0, 1)]
CELLS = [
    {
        "path": name,
        "id": name[:3],
        "camera": f"c{n % 2}",
        "split": ("train", "query", "gallery")[n // 2],
    }
    for n, name in enumerate(PEOPLE)
]


def write_list(path, columns, header=None, end="\n", start=""):
    lines = [",".join(row.get(name, "x") for name in columns) for row in CELLS]
    lines[:0] = [",".join(columns)] if header is None else header
    path.write_bytes((start + end.join(lines) + end).encode())
    return path


def labels(path):
    return [(x.name, x.identity, x.camera, x.split) for x in read_crop_list(path, Ignored())]


def images(path):
    return [(x.name, x.path, x.identity, x.camera) for x in list_images([str(path)])]


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        ("path id camera split", {}),
        ("split camera id path", {"end": "\r\n", "start": "\ufeff"}),
        ("id path", {"end": "\r\n"}),
        ("camera path split id", {"header": ["Camera, PATH ,Split,Id"]}),
        ("note id split time path camera", {"start": "\ufeff"}),
        ("path id camera split", {"header": []}),
        ("path id", {"header": [], "end": "\r", "start": "\ufeff"}),
    ],
)
def test_columns_in_any_order(tmp_path, columns, options):
    """The same images and labels, whatever the order, the capitals, and the system that wrote them."""
    names = columns.split()
    path = write_list(write_files(tmp_path, PEOPLE) / "crops.csv", names, **options)
    here = [{name: row[name] if name in names else None for name in row} for row in CELLS]
    assert labels(path) == [(r["path"], r["id"], r["camera"], r["split"]) for r in here]
    assert images(path) == [
        (r["path"], tmp_path / r["path"], r["id"], r["camera"] or "") for r in here
    ]
    _ = own_folder(path).items  # a data set of it


def test_other_columns_are_named(tmp_path, caplog):
    path = write_list(write_files(tmp_path, PEOPLE) / "crops.csv", ["time", "path", "id", "note"])
    ignored = Ignored()
    read_crop_list(path, ignored)
    assert list(ignored.lines()) == ["2 columns ignored: time, note"]
    with caplog.at_level(logging.INFO):
        list_images([str(path)])
    assert f"{path}: 2 columns ignored: time, note" in caplog.messages


def test_paths_alone(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("a;b.png\n\n./b.png\n")
    write_files(tmp_path, ["a;b.png"])
    assert [image[0] for image in images(path)] == ["a;b.png", "b.png"]


@pytest.mark.parametrize("read", [labels, images])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path;id\nann/0.png;ann\n",
            r"line 1: found .*, semicolons between .*, expected .* commas",
        ),
        ("ann/0.png\tann\n", "line 1: found .*, tabs between the columns, expected .* commas"),
        ("path,id,Path\n", "line 1: found the column path twice, expected it once"),
        ("id,path\nann,ann/0.png,c1\n", r"line 2: found \['ann', .*, expected id,path"),
        ("id,path\nann\n", r"line 2: found \['ann'\], expected id,path"),
        ("\xff", "expected a CSV file in UTF-8"),
    ],
)
def test_what_cannot_be_meant(tmp_path, read, text, message):
    path = tmp_path / "crops.csv"
    write_files(tmp_path, PEOPLE)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


def test_training_needs_identities(tmp_path):
    path = write_list(write_files(tmp_path, PEOPLE) / "crops.csv", ["camera", "path"])
    with pytest.raises(UserError, match="line 1: found the columns camera, path, expected id too"):
        labels(path)
    assert len(images(path)) == len(PEOPLE)
