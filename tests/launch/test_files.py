"""The files in `launch/` as their linters see them."""

import copy
import json
import re
import shutil
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCRIPTS = [
    *sorted((ROOT / "launch").glob("*.sh")),
    Path(__file__).parent / "srun",
    ROOT / ".ci/run",
]
JOBSET = (ROOT / "launch" / "gke_jobset.yaml").read_text()
VARIABLES = {
    "NAME": "joint",
    "IMAGE": "registry/rireid_jax:1",
    "CLAIM": "runs",
    "TPU_ACCELERATOR": "tpu-v5-lite-podslice",
    "TPU_TOPOLOGY": "4x4",
    "HOSTS": "4",
    "CHIPS_PER_HOST": "4",
    "RUN_FLAGS": "--config configs/joint.py:vr_msmt17",
}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck(script):
    assert script.stat().st_mode & 0o100, "cannot be executed"
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    assert shellcheck is not None
    result = subprocess.run([shellcheck, script], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads((Path(__file__).parent / "jobset.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(scope="module")
def jobset() -> dict[str, Any]:
    """As `envsubst` leaves it: what is no variable of the environment stays."""
    return yaml.safe_load(string.Template(JOBSET).safe_substitute(VARIABLES))


def test_jobset(jobset, validator):
    validator.validate(jobset)
    job = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert job["parallelism"] == job["completions"] == 4
    (container,) = job["template"]["spec"]["containers"]
    assert {m["name"] for m in container["volumeMounts"]} == {
        v["name"] for v in job["template"]["spec"]["volumes"]
    }


def test_every_variable_is_explained():
    comments, _, body = JOBSET.partition("apiVersion:")
    used = set(re.findall(r"\$\{([A-Z_]+)\}", body))
    assert used == set(VARIABLES)
    assert all(re.search(rf"\b{name}\b", comments) for name in used)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("kind",), "Jobset"),
        (("spec", "failurePolicy", "maxRestart"), 3),
        (("spec", "replicatedJobs", 0, "template", "spec", "parallelism"), "4"),
        (
            ("spec", "replicatedJobs", 0, "template", "spec", "template", "spec", "restartPolicy"),
            "Always",
        ),
        (("metadata", "name"), "Joint_1"),
    ],
)
def test_schema_refuses(jobset, validator, path, value):
    wrong = copy.deepcopy(jobset)
    *parents, last = path
    target = wrong
    for parent in parents:
        target = target[parent]
    target[last] = value
    assert not validator.is_valid(wrong)


def run_script(
    tmp_path: Path, jobset: dict[str, Any], python: str
) -> subprocess.CompletedProcess[str]:
    """What a pod runs, with a Python of our own, and a folder in the place of the volume."""
    path = tmp_path / "bin" / "python"
    path.parent.mkdir()
    path.write_text(f"#!/bin/bash\n{python}\n")
    path.chmod(0o755)
    (tmp_path / "storage" / "runs" / "joint").mkdir(parents=True)
    job = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
    container = job["template"]["spec"]["containers"][0]
    command = [
        *container["command"],
        container["args"][0].replace("/storage", f"{tmp_path}/storage"),
    ]
    return subprocess.run(
        command,
        env={"PATH": f"{path.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("python", "status"),
    [
        ('touch "${5#--workdir=}/results.json"', 0),
        ("exit 2", 2),
        # Kubernetes ends a pod by SIGTERM to its first process, bash here; the run saves, and ends well.
        (
            "trap 'sleep 0.3; exit 0' TERM; sleep 0.5; kill -TERM $PPID; "
            "for i in $(seq 100); do sleep 0.1; done; exit 9",
            75,
        ),
    ],
    ids=["finished", "failed", "terminated"],
)
def test_a_pod_is_done_only_with_results(tmp_path, jobset, python, status):
    result = run_script(tmp_path, jobset, python)
    assert result.returncode == status, result.stderr
