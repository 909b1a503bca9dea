"""Which tensor of a PyTorch `state_dict` is which of our variables: tables, as functions of the network."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rireid_jax.models.csr_gan import CSRGAN, FACTORS
from rireid_jax.models.densenet import DenseNet
from rireid_jax.models.ffsr import FFSR, ReleasedFFSR
from rireid_jax.models.network import Network
from rireid_jax.models.resnet import ResNet
from rireid_jax.models.rife import RIFE
from rireid_jax.models.superres import SRCNN, VDSR, LuminanceSRCNN
from rireid_jax.models.two_resnet import TwoResNet

Kind = Literal["conv", "up", "fc", "vector"]
Place = tuple[str, ...]  # "params" or "batch_stats", then the names down to an array

# Axes of our array out of PyTorch's. Conv2d's are [out, in, kH, kW], ConvTranspose2d's [in, out, kH, kW], Linear's
# [out, in]; ours are [kH, kW, in, out] and [in, out].
AXES: dict[Kind, tuple[int, ...]] = {
    "conv": (2, 3, 1, 0),
    "up": (2, 3, 0, 1),
    "fc": (1, 0),
    "vector": (0,),
}

_FFSR_LAYERS = (
    *("down1", "enc1", "down2", "enc2", "squeeze", "mid"),
    *("expand", "up1", "dec1", "up2", "dec2", "out"),
)
_RELEASED_LAYERS = (
    *("conv0", "conv1", "conv12", "conv2", "conv3", "conv34", "conv4", "conv5"),
    *("conv56", "conv6", "dconv1", "conv9", "dconv2", "conv10", "conv11"),
)
_SRCNN_LAYERS = ("extract", "map", "reconstruct")
_VDSR_LAYERS = (*(f"conv{i}" for i in range(1, 20)), "out")
_TRANSPOSED = ("up1", "up2", "dconv1", "dconv2")


@dataclass(frozen=True)
class Weight:
    """A row of the table: one tensor.

    Attributes:
      names: its keys in the `state_dict`; the first is the main one, others are the same tensor again.
      kind: key of `AXES`.
      places: where its values go; several where streams start from the same weights.
    """

    names: tuple[str, ...]
    kind: Kind
    places: tuple[Place, ...]


def table(network: Network) -> list[Weight]:
    """All weights of a network under the names that it has in PyTorch.

    The released network has its authors' names: `SRnet.*`, `model1.*` (the high-resolution stream, with the head),
    `model2.*`, `attmodel.*`, and the streams' parts again as `modelpart*`. A `ResNet` and a `DenseNet` have
    torchvision's, with `feature.*` or `bn.*` and `classifier.*` for the head, and timm's `se.*` in SE-ResNet50. The
    paper's network, which nobody has published, has `ffsr.*` and `rife.*`, the streams' bottlenecks as torchvision
    names them; two ResNets have `low.*` and `high.*`, SRCNN and VDSR `srcnn.*` and `vdsr.*`,
    CSR-GAN's generators `csr_gan.generator8.*`, `4` and `2`; what they learn against is no part of the network.
    """
    rows: list[Weight] = []
    if isinstance(network.super_resolution, FFSR):
        rows += _restorer("ffsr", _FFSR_LAYERS)
    elif isinstance(network.super_resolution, ReleasedFFSR):
        rows += _restorer("SRnet", _RELEASED_LAYERS)
    elif isinstance(network.super_resolution, SRCNN | LuminanceSRCNN):
        rows += _restorer("srcnn", _SRCNN_LAYERS)
    elif isinstance(network.super_resolution, VDSR):
        rows += _restorer("vdsr", _VDSR_LAYERS)
    elif isinstance(network.super_resolution, CSRGAN):
        rows += _csr_gan(network.super_resolution)
    extractor = network.extractor
    if isinstance(extractor, ResNet | DenseNet):
        neck = extractor.neck if isinstance(extractor, ResNet) else "fc"
        rows += [*backbone_table(network), *_head("", neck)]
    elif isinstance(extractor, TwoResNet):
        rows += _two_resnets(extractor)
    elif isinstance(extractor, RIFE):
        rows += _released(extractor) if extractor.dual_stem else _rife(extractor)
    return rows


def backbone_table(network: Network) -> list[Weight]:
    """All that comes before the extractor's head, under torchvision's names, and all its places in the extractor."""
    extractor = network.extractor
    if isinstance(extractor, DenseNet):
        return list(_densenet(extractor))
    assert isinstance(extractor, ResNet | TwoResNet | RIFE)
    streams = ("low", "high")
    stages: list[list[Place]]
    if isinstance(extractor, ResNet):
        stem: list[Place] = [("stem",)]
        stages = [[(f"stage{t}",)] for t in range(1, 5)]
    elif isinstance(extractor, TwoResNet):
        stem = [(stream, "stem") for stream in streams]
        stages = [[(stream, f"stage{t}") for stream in streams] for t in range(1, 5)]
    else:
        stages = [[(f"dsb{t}", stream) for stream in streams] for t in range(5)]
        stem, stages = stages[0] if extractor.dual_stem else [("stem",)], stages[1:]
    rows = list(_stem("", *stem))
    se = isinstance(extractor, ResNet) and extractor.squeeze_excitation
    for t, (blocks, places) in enumerate(zip(extractor.stage_sizes, stages, strict=True), start=1):
        rows += _stage((f"layer{t}",), blocks, *places, squeeze_excitation=se)
    return rows


def _restorer(prefix: str, layers: tuple[str, ...]) -> Iterator[Weight]:
    for layer in layers:
        place = (("super_resolution", layer),)
        yield from _layer("up" if layer in _TRANSPOSED else "conv", (f"{prefix}.{layer}",), place)


def _csr_gan(network: CSRGAN) -> Iterator[Weight]:
    with_norm = [f"block{i}_{part}" for i in range(network.blocks) for part in ("in", "out")]
    for factor in FACTORS:
        generator = f"generator{factor}"
        name, place = f"csr_gan.{generator}", ("super_resolution", generator)
        for layer in ("first", "upscale", "out"):
            yield from _layer("conv", (f"{name}.{layer}",), ((*place, layer),))
        for layer in (*with_norm, "last"):
            conv, bn = f"{layer}_conv", f"{layer}_bn"
            yield from _layer("conv", (f"{name}.{conv}",), ((*place, conv),), bias=False)
            yield from _batch_norm((f"{name}.{bn}",), ((*place, bn),))


def _rife(network: RIFE) -> Iterator[Weight]:
    yield from _stem("rife.", ("stem",))
    for t, blocks in enumerate(network.stage_sizes, start=1):
        for stream in ("low", "high"):
            name = f"rife.blocks.{t - 1}.{stream}"
            yield from _stage((name,), blocks, (f"dsb{t}", stream))
            yield from _gate(f"{name}_head", f"dsb{t}", stream)
    yield from _head("rife.", network.neck)


def _two_resnets(network: TwoResNet) -> Iterator[Weight]:
    for stream in ("low", "high"):
        yield from _stem(f"{stream}.", (stream, "stem"))
        for t, blocks in enumerate(network.stage_sizes, start=1):
            yield from _stage((f"{stream}.layer{t}",), blocks, (stream, f"stage{t}"))
        feature = f"feature_{stream}"
        yield from _layer("fc", (feature,), (("extractor", "head", feature),))
        if network.weighted:
            yield from _gate(f"gate_{stream}", "head", stream)
    yield from _layer("fc", ("classifier",), (("extractor", "head", "classifier"),))


def _densenet(network: DenseNet) -> Iterator[Weight]:
    def layer(name: str, *place: str) -> Iterator[Weight]:
        where = (("extractor", *place),)
        yield from _layer("conv", (f"features.{name}",), where, bias=False)

    def norm(name: str, *place: str) -> Iterator[Weight]:
        yield from _batch_norm((f"features.{name}",), (("extractor", *place),))

    yield from layer("conv0", "stem", "conv")
    yield from norm("norm0", "stem", "bn")
    for t, layers in enumerate(network.block_sizes, start=1):
        if t > 1:
            yield from norm(f"transition{t - 1}.norm", f"transition{t - 1}", "bn")
            yield from layer(f"transition{t - 1}.conv", f"transition{t - 1}", "conv")
        for i in range(layers):
            theirs, ours = f"denseblock{t}.denselayer{i + 1}", (f"block{t}", f"layer{i}")
            for n, part in enumerate(("reduce", "grow"), start=1):
                yield from norm(f"{theirs}.norm{n}", *ours, f"{part}_bn")
                yield from layer(f"{theirs}.conv{n}", *ours, f"{part}_conv")
    yield from norm("norm5", "bn")


def _released(network: RIFE) -> Iterator[Weight]:
    for model, part, gate, stream in (
        ("model1", "modelpart", 0, "high"),
        ("model2", "model2part", 1, "low"),
    ):
        base = f"{model}.net.base"
        again = f"{part}1.0.0"  # three nested pairs: ((convolution, batch norm), ReLU), max-pool
        place = (("extractor", "dsb0", stream),)
        yield from _layer("conv", (f"{base}.conv1", f"{again}.0"), _in(place, "conv"), bias=False)
        yield from _batch_norm((f"{base}.bn1", f"{again}.1"), _in(place, "bn"))
        yield from _gate(f"attmodel.0.{gate}", "dsb0", stream)
        for t, blocks in enumerate(network.stage_sizes, start=1):
            names = (f"{base}.layer{t}", f"{part}{t + 1}")
            yield from _stage(names, blocks, (f"dsb{t}", stream))
            yield from _gate(f"attmodel.{t}.{gate}", f"dsb{t}", stream)
    yield from _batch_norm(("model1.bn",), (("extractor", "head", "bn"),))
    yield from _layer("fc", ("model1.fc",), (("extractor", "head", "classifier"),))


def _stem(prefix: str, *places: Place) -> Iterator[Weight]:
    where = tuple(("extractor", *place) for place in places)
    yield from _layer("conv", (f"{prefix}conv1",), _in(where, "conv"), bias=False)
    yield from _batch_norm((f"{prefix}bn1",), _in(where, "bn"))


def _stage(
    names: tuple[str, ...], blocks: int, *places: Place, squeeze_excitation: bool = False
) -> Iterator[Weight]:
    for i in range(blocks):
        layers = [
            ("conv1", "bn1", "reduce"),
            ("conv2", "bn2", "spatial"),
            ("conv3", "bn3", "expand"),
        ]
        if i == 0:
            layers.append(("downsample.0", "downsample.1", "shortcut"))
        where = tuple(("extractor", *place, f"block{i}") for place in places)
        for conv, bn, ours in layers:
            convs, bns = (tuple(f"{name}.{i}.{end}" for name in names) for end in (conv, bn))
            yield from _layer("conv", convs, _in(where, f"{ours}_conv"), bias=False)
            yield from _batch_norm(bns, _in(where, f"{ours}_bn"))
        for fc in ("fc1", "fc2") if squeeze_excitation else ():
            fcs = tuple(f"{name}.{i}.se.{fc}" for name in names)
            yield from _layer("conv", fcs, _in(_in(where, "se"), fc))


def _gate(name: str, block: str, stream: str) -> Iterator[Weight]:
    for layer in ("fc1", "fc2"):
        place = ("extractor", block, f"gate_{stream}", layer)
        yield from _layer("fc", (f"{name}.{layer}",), (place,))


def _head(prefix: str, neck: str) -> Iterator[Weight]:
    head: Place = ("extractor", "head")
    if neck == "fc":
        yield from _layer("fc", (f"{prefix}feature",), ((*head, "feature"),))
    elif neck == "batch_norm":
        yield from _batch_norm((f"{prefix}bn",), ((*head, "bn"),))
    yield from _layer("fc", (f"{prefix}classifier",), ((*head, "classifier"),))


def _layer(
    kind: Kind,
    names: tuple[str, ...],
    places: tuple[Place, ...],
    bias: bool = True,
) -> Iterator[Weight]:
    yield _weight(names, "weight", kind, places, "params", "kernel")
    if bias:
        yield _weight(names, "bias", "vector", places, "params", "bias")


def _batch_norm(names: tuple[str, ...], places: tuple[Place, ...]) -> Iterator[Weight]:
    yield _weight(names, "weight", "vector", places, "params", "scale")
    yield _weight(names, "bias", "vector", places, "params", "bias")
    yield _weight(names, "running_mean", "vector", places, "batch_stats", "mean")
    yield _weight(names, "running_var", "vector", places, "batch_stats", "var")


def _weight(
    names: tuple[str, ...],
    end: str,
    kind: Kind,
    places: tuple[Place, ...],
    collection: str,
    leaf: str,
) -> Weight:
    where = tuple((collection, *place, leaf) for place in places)
    return Weight(tuple(f"{name}.{end}" for name in names), kind, where)


def _in(places: tuple[Place, ...], module: str) -> tuple[Place, ...]:
    return tuple((*place, module) for place in places)
