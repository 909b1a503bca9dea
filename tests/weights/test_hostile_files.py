"""Two hundred damaged and hostile files: each ends in one clear line, and nothing in them is run."""

import io
import json
import os
import pickle
import struct
import subprocess
import zipfile

import numpy as np
import pytest
import torch
from safetensors.numpy import save as save_safetensors
from torch_reference.ffsr import FFSRPaper

from rireid_jax.errors import UserError
from rireid_jax.models.ffsr import FFSR
from rireid_jax.models.network import Network, zero_variables
from rireid_jax.weights import from_state_dict, read_state_dict

pytestmark = pytest.mark.torch

WIDTH = 1 / 32
NETWORK = Network(FFSR(width=WIDTH), None)


def good_state():
    torch.manual_seed(0)
    return {f"ffsr.{name}": tensor for name, tensor in FFSRPaper(WIDTH).state_dict().items()}


def saved(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def legacy(content):
    return saved(content, _use_new_zipfile_serialization=False)


def safetensors_file(header, data=b""):
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + data


class Calls:
    """Pickles as a call of `function(*args)`."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def hostile_calls(canary):
    """Each writes the canary, or ends this process."""
    canary = str(canary)
    touch = f"open({canary!r}, 'w').close()"
    shells = [Calls(os.system, f"touch {canary}")]
    shells += [Calls(run, ["touch", canary]) for run in (subprocess.Popen, subprocess.check_output)]
    code = [Calls(exec, touch), Calls(eval, touch), Calls(__import__, "this")]
    files = [Calls(os.mkdir, canary), Calls(open, canary, "w"), Calls(np.savetxt, canary, [0])]
    torches = [Calls(torch.save, 0, canary), Calls(getattr(torch.jit, "load"), canary)]  # noqa: B009
    return [*shells, *code, *files, *torches, Calls(os._exit, 3), Calls(os.kill, os.getpid(), 9)]


def truncated():
    state = good_state()
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    whole = {"pth": saved(state), "tar": legacy(state), "safetensors": save_safetensors(arrays)}
    for suffix, content in whole.items():
        # The last bytes of a legacy file are its last tensor; of the others, the directory or a tensor.
        for length in np.linspace(0, len(content) - 1, 25).astype(int):
            yield f"{suffix} cut at {length}", suffix, content[:length]
        for start in np.linspace(0, min(400, len(content) - 64), 8).astype(int):
            yield f"{suffix} zeros at {start}", suffix, _zeros_at(content, start, 64, suffix)


def _zeros_at(content, start, length, suffix):
    if suffix == "pth":  # the pickle is inside, and the directory at the end
        start += content.rindex(b"PK\x01\x02") - 400
    return content[:start] + bytes(length) + content[start + length :]


def wrong_contents():
    state = good_state()
    for i, (name, tensor) in enumerate(state.items()):
        others = {key: value for key, value in state.items() if key != name}
        yield f"without {name}", "pth", saved(others)
        huge = tensor.expand(10**6, *tensor.shape)
        shape = (tensor[:-1], tensor[None], tensor.new_zeros(0), huge)[i % 4]
        yield f"another shape of {name}", "pth", saved({**state, name: shape})
        fill = (float("nan"), float("inf"))[i % 2]
        yield f"{fill} in {name}", "pth", saved({**state, name: torch.full_like(tensor, fill)})
    name, tensor = next(iter(state.items()))
    others = tensor.int(), tensor.bool(), tensor.to(torch.complex64), tensor.to_sparse()
    others += tensor.to("meta"), tensor.long(), tensor.tolist(), None, "weights", 1.0
    for i, wrong in enumerate((*others, {"inner": tensor})):
        yield f"{i}: {type(wrong).__name__} for {name}", "pth", saved({**state, name: wrong})
    yield "a number for a key", "pth", saved({**state, 3: tensor})
    yield "module. twice", "pth", saved({**state, f"module.{name}": tensor})
    nothing = [], [state], {}, tensor, 3, "text", {"state_dict": {}}, {"model": {"epoch": 3}}
    for content in nothing:
        yield f"nothing but {str(content)[:20]}", "pth", saved(content)
    itself = {}
    itself["state_dict"] = itself
    yield "a checkpoint in itself", "pth", saved(itself)


def no_checkpoints():
    for name, content in (
        ("empty", b""),
        ("text", b"weights\n"),
        ("page", b"<!DOCTYPE html><html><body>Quota exceeded</body></html>"),
        ("picture", b"\x89PNG\r\n\x1a\n" + bytes(200)),
        ("zeros", bytes(5000)),
        ("noise", np.random.default_rng(0).bytes(5000)),
        ("stop", b"."),
        ("deep", b"(" * 20_000),
        ("long", b"\x80\x02" + b"\x8a\xff" + bytes(100)),
    ):
        for suffix in ("pth", "safetensors"):
            yield f"{name}.{suffix}", suffix, content
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "no weights")
    yield "another zip", "pth", buffer.getvalue()
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    for label, header in (
        ("bad json", b'{"a":'),
        ("a list", []),
        ("past the end", {"a": {**entry, "data_offsets": [0, 80], "shape": [20]}}),
        ("backwards", {"a": {**entry, "data_offsets": [8, 0]}}),
        ("negative", {"a": {**entry, "shape": [-2]}}),
        ("enormous", {"a": {**entry, "shape": [2**62, 2**62]}}),
        ("unknown type", {"a": {**entry, "dtype": "F31"}}),
        ("nothing", {}),
        ("bad text", b"\xff\xfe\xfd"),
    ):
        yield label, "safetensors", safetensors_file(header, bytes(8))
    yield "endless header", "safetensors", struct.pack("<Q", 2**63 - 1) + b"{}"


def hostile(canary):
    state = good_state()
    for i, call in enumerate(hostile_calls(canary)):
        yield f"call {i} in a zip", "pth", saved({**state, "ffsr.extra": call})
        yield f"call {i} in an old file", "tar", legacy({"state_dict": state, "rank1": call})
        yield f"call {i} alone", "pth", pickle.dumps(call)


def refuse(path, canary):
    """Asserts that the file is refused in one line that names it, and ran nothing."""
    with pytest.raises(UserError) as caught:
        from_state_dict(read_state_dict(path), NETWORK, str(path))
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 700
    assert not canary.exists()
    return message


def test_two_hundred_files_are_refused(tmp_path):
    canary = tmp_path / "canary"
    cases = [*truncated(), *wrong_contents(), *no_checkpoints(), *hostile(canary)]
    assert len(cases) >= 200
    assert len({label for label, _, _ in cases}) == len(cases)
    accepted = []
    for i, (label, suffix, content) in enumerate(cases):
        path = tmp_path / f"{i}.{suffix}"
        path.write_bytes(content)
        try:
            refuse(path, canary)
        except pytest.fail.Exception:
            accepted.append(label)
        path.unlink()
    assert accepted == []
    print(f"{len(cases)} files refused")


def test_the_calls_would_have_run(tmp_path):
    """The canary dies where pickles are trusted."""
    canary = tmp_path / "canary"
    pickle.loads(pickle.dumps(hostile_calls(canary)[0]))
    assert canary.exists()


def test_the_good_file_is_accepted(tmp_path):
    for name, content in (("a.pth", saved(good_state())), ("b.tar", legacy(good_state()))):
        (tmp_path / name).write_bytes(content)
        _, report = from_state_dict(read_state_dict(tmp_path / name), NETWORK)
        assert len(report.loaded) == 24


def test_messages_say_what_is_wrong(tmp_path):
    canary, state = tmp_path / "canary", good_state()
    called = Calls(os.system, f"touch {canary}")
    # A tensor of 10^12 numbers that all lie in one place is refused without a copy.
    enormous = torch.zeros(1, dtype=torch.bfloat16).expand(10**6, 10**6)
    for change, message in (
        ({"x": called}, "found a pickle that calls posix.system, which was not done"),
        ({"ffsr.mid.bias": torch.zeros(7)}, "ffsr.mid.bias is [7], expected [2]"),
        ({"ffsr.mid.weight": enormous}, "ffsr.mid.weight is [1000000, 1000000]"),
    ):
        path = tmp_path / "weights.pth"
        path.write_bytes(saved({**state, **change}))
        assert message in refuse(path, canary)
    del state["ffsr.mid.bias"]
    path.write_bytes(saved(state))
    assert "1 of 24 tensors are missing: ffsr.mid.bias" in refuse(path, canary)
    for path in (tmp_path / "missing.pth", tmp_path):
        with pytest.raises(UserError, match="found no such file"):
            read_state_dict(path)


def test_half_precision_is_widened(tmp_path):
    state = {name: tensor.bfloat16() for name, tensor in good_state().items()}
    (tmp_path / "weights.pth").write_bytes(saved(state))
    variables, _ = from_state_dict(read_state_dict(tmp_path / "weights.pth"), NETWORK)
    kernel = variables["params"]["super_resolution"]["mid"]["kernel"]
    assert (
        kernel.dtype == zero_variables(NETWORK)["params"]["super_resolution"]["mid"]["kernel"].dtype
    )
    expected = state["ffsr.mid.weight"].float().permute(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, expected)
