"""Every argument of the public Python interface is checked: one line, never a traceback and never nothing."""

import json
import subprocess
import sys

import pytest

# In a process in which types are not checked, as users have it.
_SCRIPT = """
import io, json, sys
import numpy as np
from PIL import Image, ImageOps
from rireid_jax import Extractor
from rireid_jax.config import base_config
from rireid_jax.errors import UserError
from rireid_jax.evaluation import rank
from rireid_jax.models.network import Network, zero_variables
from rireid_jax.models.resnet50 import ResNet
from rireid_jax.weights import read_state_dict

folder = sys.argv[1]
network = Network(None, ResNet(num_classes=0, neck="none", width=0.125, stage_sizes=(1, 1, 1, 1)))
variables = zero_variables(network)
import jax
variables = jax.tree.map(lambda x: np.random.default_rng(x.size).random(x.shape, np.float32), variables)
extractor = Extractor(network, variables, (32, 16), batch_size=4)
pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 3), np.uint8)
picture = Image.fromarray(pixels)


def saved(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def truncated():
    return Image.open(io.BytesIO(saved(picture.resize((200, 200)), "JPEG")[:-300]))


def closed():
    open(f"{folder}/a.png", "wb").write(saved(picture, "PNG"))
    with Image.open(f"{folder}/a.png") as image:
        pass
    return image


deep = np.arange(96, dtype=np.uint16).reshape(12, 8) * 600
wrong_images = {
    "16 bits": Image.fromarray(deep),
    "32 bits": Image.fromarray(deep.astype(np.int32)),
    "float": Image.fromarray(deep.astype(np.float32)),
    "16-bit file": Image.open(io.BytesIO(saved(Image.fromarray(deep), "PNG"))),
    "truncated": truncated(),
    "closed": closed(),
    "nothing in it": Image.new("RGB", (0, 5)),
    "None": None,
    "bytes": saved(picture, "PNG"),
    "number": 3,
    "list": pixels.tolist(),
    "jax": jax.numpy.asarray(pixels),
    "float array": pixels / 255,
    "16-bit array": pixels.astype(np.uint16),
    "grey array": pixels[..., 0],
    "array with alpha": np.dstack([pixels, pixels[..., :1]]),
    "channels first": pixels.transpose(2, 0, 1),
    "no path": "a\\0b",
    "empty path": "",
    "a folder": folder,
    "no user": "~nosuchuser/a.png",
    "class": Image.Image,
}
features = np.eye(2)
labels = dict(query_pids=[0, 1], gallery_pids=[0, 1], query_camids=[0, 0], gallery_camids=[1, 1])
labels |= dict(query_features=features, gallery_features=features)
calls = {
    f"image: {name}": lambda image=image: extractor.extract([picture, image])
    for name, image in wrong_images.items()
}
calls |= {
    f"images: {name}": lambda images=images: extractor.restore(images)
    for name, images in {
        "None": None, "number": 3, "one path": "a.png", "bytes": b"a", "one picture": picture, "one array": pixels,
        "dict": {"a.png": 1}, "set": {"a.png"},
    }.items()
}
calls |= {
    f"batch_size: {size!r}": lambda size=size: Extractor(network, variables, (32, 16), batch_size=size)
    for size in (-1, 0, 2.0, "8", None, True)
}
calls |= {
    f"image_size: {size!r}": lambda size=size: Extractor(network, variables, size)
    for size in (32, (32,), (32, 0), (30, 15), (32.0, 16.0), None, "ab", (-32, 16), (32, 16, 3))
}
calls |= {
    "network: None": lambda: Extractor(None, variables, (32, 16)),
    "variables: None": lambda: Extractor(network, None, (32, 16)),
    "variables: {}": lambda: Extractor(network, {}, (32, 16)),
    "views: ten": lambda: Extractor(network, variables, (32, 16), views="ten"),
    "views: None": lambda: Extractor(network, variables, (32, 16), views=None),
    "normalised: no": lambda: Extractor(network, variables, (32, 16), normalised="no"),
    "workdir: empty": lambda: Extractor.from_workdir(""),
    "workdir: None": lambda: Extractor.from_workdir(None),
    "workdir: nothing": lambda: Extractor.from_workdir(folder),
    "checkpoint: lats": lambda: Extractor.from_workdir(folder, checkpoint="lats"),
    "checkpoint: 3": lambda: Extractor.from_workdir(folder, checkpoint=3),
    "batch_size: of a run": lambda: Extractor.from_workdir(folder, batch_size=-1),
    "batch_size: of a file": lambda: Extractor.from_torch(folder, "resnet50", batch_size=-1),
    "stage: jiont": lambda: Extractor.from_variables(base_config(), "jiont", variables),
    "stage: None": lambda: Extractor.from_variables(base_config(), None, variables),
    "variant: resnet": lambda: Extractor.from_torch("x.pth", "resnet"),
    "variant: []": lambda: Extractor.from_torch("x.pth", []),
    "path: None": lambda: Extractor.from_torch(None, "resnet50"),
    "path: 3": lambda: extractor.to_torch(3),
    "path: to nowhere": lambda: extractor.to_torch(f"{folder}/no/such.safetensors"),
    "path: bytes": lambda: read_state_dict(b"x.pth"),
    "dataset: None": lambda: base_config(None),
    "dataset: 3": lambda: base_config(3),
}
for name, value in {
    "protocol": "markt", "protocol ": ["market"], "protocol  ": None, "repeats": 0, "repeats ": 2.5, "repeats  ": "3",
    "seed": -1, "seed ": None, "query_pids": [0.0, 1.0], "query_pids ": [[0], [1, 2]], "query_pids  ": ["a", "b"],
    "gallery_camids": [1], "query_features": None, "query_features ": [[1.0], [1.0, 2.0]], "gallery_features": "ab",
    "distance": "cosin", "distance ": None, "rerank": "jaccard", "rerank ": ["k_reciprocal"], "rerank  ": None,
    "gallery_features ": features * 1j, "gallery_features  ": np.eye(3)[:2], "gallery_pids": None,
}.items():
    key = name.strip()
    calls[f"rank: {name}"] = lambda key=key, value=value: rank(**{**labels, key: value})
found = {}
for name, call in calls.items():
    try:
        found[name] = ["nothing", repr(call())[:80]]
    except UserError as error:
        found[name] = ["UserError", str(error)]
    except BaseException as error:
        found[name] = [type(error).__name__, str(error)]

whole = extractor.extract([picture] * 9)
turned = {}
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for form in ("JPEG", "PNG", "WEBP", "TIFF"):
        options = dict(exif=exif, **(dict(lossless=True) if form == "WEBP" else {}))
        data = saved(picture, form, **options)
        path = f"{folder}/{orientation}.{form.lower()}"
        open(path, "wb").write(data)
        upright = ImageOps.exif_transpose(Image.open(path))
        same = [upright, path, Image.open(path), Image.open(path).convert("RGBA")]
        rows = extractor.extract(same)
        turned[f"{form} {orientation}"] = bool((rows == rows[:1]).all())
same = {
    "generator": bool((extractor.extract(p for p in [picture] * 9) == whole).all()),
    "iterator": bool((extractor.extract(iter([picture] * 9)) == whole).all()),
    "tuple": bool((extractor.extract((picture,) * 9) == whole).all()),
    "none": extractor.extract(iter([])).shape[0] == 0 and extractor.extract([]).shape[0] == 0,
    "four": bool((extractor.extract(iter([picture] * 4)) == whole[:4]).all()),
    "bgr": bool((extractor.extract([pixels[..., ::-1][..., ::-1]]) == whole[:1]).all()),
    "alpha": bool((extractor.extract([Image.fromarray(np.dstack([pixels, pixels[..., 0]]))]) == whole[:1]).all()),
    "premultiplied": extractor.extract([picture.convert("RGBA").convert("RGBa")]).shape[0] == 1,
    "grey with alpha": extractor.extract([picture.convert("LA")]).shape[0] == 1,
    "varied": bool(np.ptp(extractor.extract([picture, Image.new("RGB", (8, 12))]), axis=0).max() > 0),
    "sizes as lists and of NumPy": Extractor(
        network, variables, [32, 16], batch_size=np.int64(3)
    ).extract([picture]).shape[0] == 1,
}
print(json.dumps([found, turned, same]))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    result = subprocess.run(
        [sys.executable, "-c", _SCRIPT, tmp_path_factory.mktemp("arguments")],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_each_wrong_argument_ends_in_a_line_that_names_it(outcomes):
    found, _, _ = outcomes
    assert len(found) > 75
    wrong = {name: outcome for name, outcome in found.items() if outcome[0] != "UserError"}
    assert wrong == {}
    for name, (_, message) in found.items():
        kind, _, what = name.partition(": ")
        start = what.strip() if kind == "rank" else kind
        if what in ("a folder", "nothing", "to nowhere"):
            start = ""  # these are called by their names
        if what.strip() in ("repeats", "seed"):
            start = "repeats, seed"
        place = message.replace("image 1", "image")
        assert place.startswith(start) or kind in ("protocol", "rank"), (name, message)
        assert "expected" in message, (name, message)


def test_orientation_is_applied(outcomes):
    """Of a file and of a PIL image alike."""
    _, turned, _ = outcomes
    assert len(turned) == 32
    assert [name for name, same in turned.items() if not same] == []


def test_all_ways_to_give_images(outcomes):
    _, _, same = outcomes
    assert [name for name, good in same.items() if not good] == []
