"""Histograms, folders and commands as text."""

import os
import re
import shlex
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from rireid_jax.doctor.commands import command
from rireid_jax.doctor.contents import histogram
from rireid_jax.doctor.folders import read_tree


def test_histogram():
    assert histogram({"": [4, 4, 4, 4, 5, 7]}) == [
        f"4 px  {'#' * 42} 4",
        f"5 px  {'#' * 10} 1",
        "6 px",
        f"7 px  {'#' * 10} 1",
    ]
    assert histogram({"": [64, 64]}) == ["all 64 pixels wide"]
    two = histogram({"a": [8, 8, 23], "b": [23, 23]})
    assert two[0].split() == ["a", "b"]
    assert two[1].split() == ["8-9", "px", "#" * 21, "2"]
    assert two[-1].split() == ["22-23", "px", "#" * 10, "1", "#" * 21, "2"]
    assert two[0].index("a") == two[-1].index("#")
    assert two[0].index("b") == two[-1].rindex(" #") + 1


@given(st.lists(st.integers(1, 20_000), min_size=1), st.lists(st.integers(1, 300), min_size=1))
def test_histogram_counts_all_in_80_columns(first, second):
    for groups in ({"": first}, {"camera 0 (high)": first, "camera 1 (low)": second}):
        lines = histogram(groups)
        assert all(len(line) <= 80 for line in lines)
        assert len(lines) <= 14
        if not lines[0].startswith("all "):
            numbers = re.findall(r"#+ ([\d,]+)", "\n".join(lines))
            assert sum(int(n.replace(",", "")) for n in numbers) == sum(map(len, groups.values()))


def test_command_keeps_other_flags():
    given_flags = shlex.split(
        "--config 'a b.py' --mode doctor -config.data.raw_dir=/x --config.seed=1"
    )
    lines = command(given_flags, {"mode": "build", "config.data.raw_dir": "/new dir"})
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == [
        *("python", "-m", "rireid_jax.main", "--config", "a b.py", "--config.seed=1"),
        *("--mode=build", "--config.data.raw_dir=/new dir"),
    ]
    assert command(["--mode=doctor"], {"mode": ""}) == ["python -m rireid_jax.main"]
    long = command([f"--config.data.field{n}=value" for n in range(9)], {})
    assert len(long) > 2
    assert all(len(line) <= 98 for line in long)
    assert all(line.endswith(" \\") for line in long[:-1])


def test_tree_of_anything(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "again").symlink_to(tmp_path)
    (tmp_path / "folder" / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder" / ".hidden.jpg").write_text("")
    (tmp_path / "folder" / "a\nb\x1b[31m.JPG").write_text("")
    if sys.platform == "linux":
        open(os.path.join(os.fsencode(tmp_path), b"\xff\xfe.png"), "w").close()
    for n in range(20):
        (tmp_path / f"many{n:02d}").mkdir()
    tree = read_tree(tmp_path)
    assert tree.root.images + tree.root.below()[0] == 1 + (sys.platform == "linux")
    assert tree.root.below()[1] == 2
    lines = tree.lines()
    "\n".join(lines).encode()  # can be printed
    assert any("listed elsewhere, by way of a link" in line for line in lines)
    assert any("a?b?[31m.JPG" in line for line in lines)
    assert any("... 9 more folders" in line for line in lines)
    assert all(len(line) <= 98 for line in lines)


def test_the_doctor_comes_at_once():
    """Without the libraries of training, which take seconds to load."""
    code = (
        "import sys, rireid_jax.doctor; print({'jax', 'flax', 'orbax', 'optax'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
