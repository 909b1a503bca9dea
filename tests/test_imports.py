"""Imports go one way, and each of devices, checkpoints and foreign frameworks has its one place."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rireid_jax

ROOT = Path(rireid_jax.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
        path.read_text()
    )
    for path in sorted(ROOT.rglob("*.py"))
}
MODULES.pop("__init__")  # the package's own, which names the API lazily

# A part imports from itself and from the floors below it; parts of one floor know nothing of each other.
FLOORS = (
    {"errors", "signals", "text_table"},
    {"components", "distributed", "parallel", "paths", "progress_bar"},
    {"config", "data", "models"},
    {"weights"},
    {"training", "evaluation"},
    {"runs", "doctor", "export", "gallery"},
    {"paper", "cli"},
    {"main"},
)
FLOOR = {part: number for number, parts in enumerate(FLOORS) for part in parts}

# What tells of devices and processes, and who may use it: parallel.py everything, the others this.
DEVICES = {
    "Mesh",
    "NamedSharding",
    "PartitionSpec",
    "SingleDeviceSharding",
    "device_count",
    "device_put",
    "devices",
    "distributed",
    "local_device_count",
    "local_devices",
    "make_array_from_process_local_data",
    "make_mesh",
    "multihost_utils",
    "pmap",
    "process_count",
    "process_index",
    "shard_map",
}
MAY_NAME_DEVICES = {
    "models.layers": {"device_put"},  # initial values: without a program for each shape
    "distributed": {"distributed"},  # begins and ends processes
    "training.checkpoint": {"local_devices", "SingleDeviceSharding"},  # where what is read goes
    "runs.results": {"devices", "device_count"},  # are written into the results
}


def imports(module: str) -> Iterator[str]:
    """Full names of what a module imports, wherever in it: `jax.sharding.Mesh`, `rireid_jax.errors.UserError`."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def names_of_jax(module: str) -> Iterator[str]:
    """Last parts of the names that a module takes from JAX, by import or as `jax.a.b`."""
    for name in imports(module):
        if name.startswith("jax."):
            yield name.rpartition(".")[2]
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Attribute):
            root: ast.expr = node
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id == "jax":
                yield node.attr


def importing(*packages: str) -> set[str]:
    return {
        module
        for module in MODULES
        if any(name.split(".")[0] in packages for name in imports(module))
    }


def test_every_part_has_its_floor():
    assert {module.split(".")[0] for module in MODULES} == set(FLOOR)
    assert len(FLOORS) <= 8


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module):
    part = module.split(".")[0]
    for name in imports(module):
        package, *target = name.split(".")
        if package == "rireid_jax" and target[0] != part:
            assert FLOOR[target[0]] < FLOOR[part], f"{module} imports {name}"


def test_devices_are_named_in_parallel_alone():
    found = {module: DEVICES & set(names_of_jax(module)) for module in MODULES}
    assert found.pop("parallel") >= {"pmap", "shard_map", "Mesh", "devices"}
    assert {module: names for module, names in found.items() if names} == MAY_NAME_DEVICES


def test_only_checkpoint_knows_orbax():
    assert importing("orbax") == {"training.checkpoint"}


def test_other_frameworks_are_not_needed():
    assert importing("tensorflow", "torchvision", "clu", "chex") == set()
    # PyTorch reads its own files, if there are such; the function that does imports it.
    assert importing("torch") <= {"weights.files"}
    top = [
        node
        for node in MODULES["weights.files"].body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not any("torch" in ast.unparse(node).split() for node in top)


def test_only_exported_files_know_onnx():
    assert importing("onnx", "onnxruntime") == {"export.onnx_file"}


def test_only_builders_know_tfds_and_only_the_pipeline_grain():
    assert all(name.startswith("data.build") for name in importing("tensorflow_datasets"))
    assert importing("tensorflow_datasets")
    assert importing("grain") == {"data.loader"}


def test_the_core_knows_nothing_of_the_papers_tables():
    clients = [m for m in MODULES if any(n.startswith("rireid_jax.paper") for n in imports(m))]
    assert all(module.split(".")[0] in ("paper", "main") for module in clients)


def test_files_and_functions_stay_short():
    """At most 400 lines in a file, and 80 in a function."""
    project = ROOT.parent
    for folder in ("rireid_jax", "tests", "benchmarks", "configs"):
        for path in sorted((project / folder).rglob("*.py")):
            text = path.read_text()
            assert text.count("\n") <= 400, path
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    assert node.end_lineno - node.lineno < 80, f"{path}: {node.name}"
