"""Gates, streams and warnings of a network, against numbers worked by hand."""

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from networks import network_of

from rireid_jax.components import EXTRACTORS
from rireid_jax.config import base_config
from rireid_jax.data.build import Built
from rireid_jax.evaluation.embed import Embedding
from rireid_jax.models.network import initialise
from rireid_jax.runs.inside import find_warnings, fit_gates, look_inside, relative_distance

R = np.array([0.25, 0.5, 0.75, 1.0])
VARIANCE = 0.078125  # of R, whose mean is 0.625


def gates_of(*blocks):
    """Gates [Q, T, 2] from (wL, wH) of each block."""
    return np.array([np.broadcast_arrays(*block, R)[:2] for block in blocks], np.float32).transpose(
        2, 0, 1
    )


def test_gates_by_hand():
    noisy = np.array([0.2, 0.6, 0.4, 0.8])  # variance 0.05, covariance with R 0.05
    perfect, crossed = fit_gates(gates_of((1 - R, R), (noisy, noisy)), R)
    assert perfect == pytest.approx(
        {
            "correlation_wL": 1,
            "correlation_wH": 1,
            "deviation_wL": VARIANCE**0.5,
            "deviation_wH": VARIANCE**0.5,
            "error": 0,
            "constant_error": 2 * VARIANCE,
            "sum_mean": 1,
            "sum_deviation": 0,
        },
        abs=1e-6,
    )
    assert crossed == pytest.approx(
        {
            "correlation_wL": -0.8,
            "correlation_wH": 0.8,
            "deviation_wL": 0.05**0.5,
            "deviation_wH": 0.05**0.5,
            # (0.55^2 + 0.1^2 + 0.15^2 + 0.8^2) / 4 + (0.05^2 + 0.1^2 + 0.35^2 + 0.2^2) / 4
            "error": 0.24375 + 0.04375,
            "constant_error": 2 * VARIANCE,
            "sum_mean": 1,
            "sum_deviation": 2 * 0.05**0.5,
        },
        abs=1e-6,
    )


def test_constant_gates_have_no_correlation():
    # The best constants, 0.5 each, and gates that only differ in float32's last digit.
    close = np.array([0.3, 0.3, np.nextafter(np.float32(0.3), np.float32(1)), 0.3])
    best, half, nearly = fit_gates(gates_of((0.375, 0.625), (0.5, 0.5), (close, close)), R)
    assert best["error"] == pytest.approx(best["constant_error"]) == pytest.approx(0.15625)
    assert half["error"] == pytest.approx(2 * (0.0625 + 0 + 0.0625 + 0.25) / 4)
    for row in (best, half, nearly):
        assert row["correlation_wL"] == row["correlation_wH"] == 0
    assert best["deviation_wH"] == 0
    # Nor is there a correlation with queries of one resolution.
    (row,) = fit_gates(gates_of((1 - R, R)), np.full(4, 0.5))
    assert row["correlation_wH"] == row["constant_error"] == 0
    assert fit_gates(np.zeros((4, 0, 2), np.float32), R) == []


def test_distance_by_hand():
    low = {"a": np.array([3.0, 0.0]), "b": np.array([4.0])}
    high = {"a": np.array([0.0, 0.0]), "b": np.array([4.0])}
    assert relative_distance(low, high) == pytest.approx(3 / 41**0.5)
    assert relative_distance(low, low) == 0
    assert relative_distance({"a": np.array([2.0, 0])}, {"a": np.array([0, 2.0])}) == 1
    opposite = jax.tree.map(np.negative, low)
    assert relative_distance(low, opposite) == pytest.approx(2**0.5)
    assert relative_distance({"a": np.zeros(2)}, {"a": np.zeros(2)}) == 0


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("rife", ["dsb1", "dsb2", "dsb3", "dsb4"]),
        ("rife_released", ["dsb0", "dsb1", "dsb2", "dsb3", "dsb4"]),
        ("two_resnet50", ["stem", "stage1", "stage2", "stage3", "stage4"]),
        ("resnet50", []),
    ],
)
def test_streams_of_networks(name, blocks):
    params = initialise(network_of(name), 0, (32, 16))["params"]["extractor"]
    pairs = EXTRACTORS[name].stream_pairs(params)
    assert list(pairs) == blocks
    distances = [relative_distance(*pair) for pair in pairs.values()]
    # RIFE's start equal, as section 5.2 says.
    assert all((distance == 0) == name.startswith("rife") for distance in distances)
    assert all(0 <= distance < 2**0.5 for distance in distances)


def look(resolution_width, extractor="rife"):
    """What `look_inside` finds for gates that follow 1.5 r, cut off at 1."""
    config = base_config("pedestrians")
    stage = config.stages.joint
    stage.resolution_width, stage.extractor = resolution_width, extractor
    target = np.minimum(1, 1.5 * R)
    gates = np.stack([1 - target, target], -1)[:, None].astype(np.float32)
    integers = np.zeros(4, np.int32)
    query = Embedding(
        np.zeros((4, 2), np.float32), gates, integers, integers, R.astype(np.float32), {}
    )
    data = Built("pedestrians", "", (), 24, {}, "")
    block = {"low": {"kernel": np.ones(2)}, "high": {"kernel": np.ones(2)}}
    variables = {"params": {"extractor": {"dsb1": block, "head": {}}}, "batch_stats": {}}
    return look_inside(config, "joint", data, query, variables)


def test_r_is_that_of_the_resolution_loss():
    inside = look(16)
    assert inside["gates"][0]["error"] == pytest.approx(0, abs=1e-12)
    assert inside["gates"][0]["correlation_wH"] == pytest.approx(1)
    assert inside["streams"] == [{"block": "dsb1", "distance": 0}]
    # With r = width / width_max, they are off by 0.125, 0.25, 0.25 and 0, twice.
    inside = look(0)
    assert inside["gates"][0]["error"] == pytest.approx(2 * (0.125**2 + 2 * 0.25**2) / 4)


def test_a_network_without_an_extractor_has_no_streams():
    assert look(0, "none")["streams"] == []


def metrics(deviation=0.2, constant_error=0.1, gates=True, **psnr):
    block = {"deviation_wL": 0.0, "deviation_wH": deviation, "constant_error": constant_error}
    blocks = [{**block, "deviation_wH": 0.0}, block] if gates else []
    names = ("psnr", "psnr_bilinear", "psnr_foreground", "psnr_foreground_bilinear")
    restoration = dict.fromkeys(names) | psnr
    return {"inside": {"gates": blocks, "streams": []}, "restoration": restoration}


def warnings_of(measured, super_resolution="ffsr"):
    config: ConfigDict = base_config("pedestrians")
    config.stages.joint.super_resolution = super_resolution
    return find_warnings(config, {"joint": measured})


GOOD = {"psnr_foreground": 24.1, "psnr_foreground_bilinear": 24.0}


def test_warning_of_constant_gates():
    assert warnings_of(metrics(0.0032, **GOOD)) == [
        "gates of joint are constant (deviation 0.0032 over the queries), so the network does not adapt to the "
        "resolution"
    ]
    assert warnings_of(metrics(0.011, **GOOD)) == []
    assert warnings_of(metrics(gates=False, **GOOD)) == []
    # With queries of one resolution there is nothing to follow.
    assert warnings_of(metrics(0.0, constant_error=0.0, **GOOD)) == []


def test_warning_of_the_bilinear_image():
    fallen = "ffsr of joint has fallen back to the bilinear image: PSNR of"
    found = warnings_of(metrics(psnr_foreground=24.04, psnr_foreground_bilinear=24.0))
    assert found == [f"{fallen} persons 24.04 dB, bilinear 24.00 dB"]
    assert warnings_of(metrics(**GOOD)) == []
    # Without masks it is that of the image, and with them it does not matter.
    found = warnings_of(metrics(psnr=20.0, psnr_bilinear=20.04))
    assert found == [f"{fallen} images 20.00 dB, bilinear 20.04 dB"]
    assert warnings_of(metrics(psnr=20.0, psnr_bilinear=21.0, **GOOD)) == []
    found = warnings_of(metrics(psnr=20.0, psnr_bilinear=21.0))
    assert found == [
        "ffsr of joint is worse than the bilinear image: PSNR of images 20.00 dB, bilinear 21.00 dB"
    ]
    # Nothing is known, or nothing restores.
    assert warnings_of(metrics()) == []
    assert warnings_of(metrics(psnr=20.0, psnr_bilinear=20.0), "bilinear") == []
