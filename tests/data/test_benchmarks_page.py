"""docs/benchmarks.md and the published figures in it."""

import re
import runpy
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from rireid_jax.cli.flags import MODES
from rireid_jax.components import DATASETS
from rireid_jax.config import base_config, recipe_of, validate
from rireid_jax.paper.published import BENCHMARKS, ORIGINS, RESULTS, SOURCES, Result

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "benchmarks.md").read_text()


describe = SimpleNamespace(**runpy.run_path(str(ROOT / "benchmarks" / "describe.py")))


def figures(method: str, benchmark: str, *sources: str) -> tuple[float | None, ...]:
    (found,) = (
        result
        for result in RESULTS
        if (result.method, result.benchmark, result.sources) == (method, benchmark, sources)
    )
    return (found.rank1, found.rank5, found.rank10, found.mAP)


# The page.


def test_page_is_current():
    assert describe.page() == PAGE, "make benchmarks-page"


def test_every_data_set_and_preset_is_described():
    assert set(re.findall(r"--mode (\w+)", PAGE)) <= set(MODES)
    assert {*describe.LOW_QUERIES, *describe.ALL_LOW} == set(BENCHMARKS)
    for name, dataset in DATASETS.items():
        assert f"(`{name}`)\n" in PAGE
        for preset in dataset.presets:
            assert f"\n- `{name}/{preset}`: " in PAGE
        for field in dataset.recipe.values():
            assert field.about in PAGE


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("command", commands(), ids=lambda words: " ".join(words[3:]))
def test_commands_are_valid(command):
    assert command[:4] == ["python", "-m", "rireid_jax.main", "--config"]
    file, _, name = command[4].partition(":")
    assert (ROOT / file).is_file()
    config = base_config(*([name] if name else []))
    rest = iter(command[5:])
    for word in rest:
        if word == "--mode":
            assert next(rest) in MODES
            continue
        field, value = re.fullmatch(r"--config\.([\w.]+)=(.+)", word).groups()
        config.update_from_flattened_dict({field: value})
    config.run = ("joint",)
    validate(config)


def test_links_lead_somewhere():
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}
    assert len(anchors) == len(headings)
    targets = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert len(targets) > len(describe.SECTIONS)
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in anchors
        else:
            assert (ROOT / "docs" / target).is_file()


def test_counts_add_up_to_the_papers():
    """Section 5.1 of the paper."""
    for name, total in {"vr_market1501": 32_217, "vr_msmt17": 126_441}.items():
        dataset = DATASETS[name]
        counts = dataset.layout.counts(dataset.recipe_values())
        assert sum(count.images for count in counts.values()) == total


# The published figures.


@pytest.mark.parametrize("result", RESULTS, ids=lambda r: f"{r.method} {r.benchmark} {r.sources}")
def test_laws_of_a_result(result):
    ranks = [r for r in (result.rank1, result.rank5, result.rank10) if r is not None]
    assert ranks == sorted(ranks)
    assert all(0 < rate < 100 for rate in (*ranks, result.mAP) if rate is not None)
    assert result.benchmark in (*BENCHMARKS.values(), "MLR-DukeMTMC")
    assert result.sources
    assert set(result.sources) <= set(SOURCES)
    assert result.setting.caveat
    if result.setting.comparable:
        dataset = result.setting.recipe.partition("/")[0]
        assert BENCHMARKS[dataset] == result.benchmark
        assert recipe_of(result.setting.recipe)  # there is such a recipe


def test_one_result_for_a_method_in_a_source():
    keys = [(r.method, r.benchmark, source) for r in RESULTS for source in r.sources]
    assert len(set(keys)) == len(keys)
    assert set(ORIGINS) <= {result.method for result in RESULTS}
    assert {source for result in RESULTS for source in result.sources} == set(SOURCES)


def test_figures_of_the_paper():
    assert figures("FFSR+RIFE", "VR-Market1501", "Table 3") == (66.9, 84.7, None, None)
    assert figures("FFSR+RIFE", "VR-MSMT17", "Table 3") == (55.5, 72.4, None, None)
    # Differences that the paper's text gives, sections 5.3 and 5.4.
    for better, worse, benchmark, table, difference in (
        ("RIFE", "CSR-GAN", "CAVIAR", "Table 3", 3.4),
        ("FFSR+RIFE", "CSR-GAN", "CAVIAR", "Table 3", 4.1),
        ("FFSR+RIFE", "CSR-GAN", "MLR-VIPeR", "Table 3", 4.4),
        ("FFSR+RIFE", "CSR-GAN", "MLR-CUHK03", "Table 3", 2.6),
        ("FFSR+RIFE", "SING", "VR-Market1501", "Table 3", 6.4),
        ("RIFE", "ResNet50", "VR-MSMT17", "Table 2", 5.7),
        ("two ResNet50, learned weights", "two ResNet50", "VR-MSMT17", "Table 2", 1.3),
        ("FFSR, DeeperCut mask, joint", "SRCNN + ResNet50", "VR-MSMT17", "Table 1", 6.2),
    ):
        high, low = (figures(name, benchmark, table)[0] for name in (better, worse))
        assert high is not None
        assert low is not None
        assert high - low == pytest.approx(difference)
    # What two of its tables share.
    for table, method, same in (
        ("Table 2", "ResNet50", "ResNet50"),
        ("Table 2", "RIFE", "RIFE"),
        ("Table 1", "bilinear + ResNet50", "ResNet50"),
        ("Table 1", "FFSR, Gaussian mask, joint", "FFSR"),
    ):
        assert figures(method, "VR-MSMT17", table) == figures(same, "VR-MSMT17", "Table 3")


def test_sources_that_disagree_are_both_kept():
    assert figures("JUDEA", "CAVIAR", "Table 3")[0] == 20.0
    assert figures("JUDEA", "CAVIAR", "CAD-Net", "PS-HRNet")[0] == 22.0
    assert figures("SDF", "MLR-VIPeR", "Table 3")[0] == 9.52
    assert figures("SDF", "MLR-VIPeR", "CAD-Net", "PS-HRNet")[0] == 9.3
    # SING's are the same in all.
    for benchmark in ("CAVIAR", "MLR-VIPeR", "MLR-CUHK03"):
        paper = figures("SING", benchmark, "Table 3")
        assert paper[:2] == figures("SING", benchmark, "CAD-Net", "PS-HRNet")[:2]


def test_copied_column():
    def is_copied(result: Result) -> bool:
        return result.benchmark == "MLR-Market1501" and "digit by digit" in result.setting.caveat

    copied = [result for result in RESULTS if is_copied(result)]
    assert len(copied) == 6
    for result in copied:
        original = figures(result.method, "VR-Market1501", "Table 3")
        assert (result.rank1, result.rank5, result.rank10, result.mAP) == original
        assert not result.setting.comparable
    # And nobody else's is.
    originals = {
        (r.rank1, r.rank5) for r in RESULTS if r.benchmark in ("VR-Market1501", "VR-MSMT17")
    }
    assert not any(
        (r.rank1, r.rank5) in originals for r in RESULTS if "MLR" in r.benchmark and r not in copied
    )
