"""What a user names on the command line: folders, files, and what of them is taken."""

import logging

import pytest
from tiny_extractor import write_images

from rireid_jax.errors import UserError
from rireid_jax.runs.image_lists import list_images


def test_folders_and_files(tmp_path, caplog):
    names = ["b/1.png", "b/0.JPG", "a.png", "c/d/e.webp"]
    write_images(tmp_path, [*names, "b/.0.png", ".git/0.png", "@eaDir/a.png"])
    (tmp_path / "b" / "notes.txt").write_text("x")
    (tmp_path / "c" / "up").symlink_to(tmp_path)  # would have no end
    write_images(tmp_path.parent / "alone", ["one.png"])
    with caplog.at_level(logging.INFO):
        found = list_images([str(tmp_path), str(tmp_path.parent / "alone" / "one.png")])
    assert [image.name for image in found] == [*sorted(names), "one.png"]
    assert all(image.path.is_file() for image in found)
    assert "1 file with other suffixes ignored: .txt 1" in caplog.text
    assert "1 hidden image ignored" in caplog.text


def test_mistakes(tmp_path):
    write_images(tmp_path, ["a/1.png", "b/1.png", "empty/.1.png"])
    for sources, message in (
        (["a", "b"], "IMAGES: found 1.png twice, expected one image of each name"),
        (["empty"], r"empty: found no images \(1 hidden image ignored.*\), expected some"),
        (["nosuch"], "nosuch: is not there, expected an image, a folder or a CSV file"),
        (["x" * 300], "is not there"),
    ):
        with pytest.raises(UserError, match=message):
            list_images([str(tmp_path / source) for source in sources])
    (tmp_path / "a" / "\udcff.png").touch()
    with pytest.raises(UserError, match="a name that is not in UTF-8"):
        list_images([str(tmp_path / "a")])
