# Everything a fresh machine needs: Python 3.11 or newer, and this file.
PYTHON ?= python3
# The newest stack: make test PYTHON=python3.13 CONSTRAINTS=constraints-newest.txt
CONSTRAINTS ?= constraints.txt
BIN := .venv/bin
TRAIN_FLAGS ?=

.PHONY: train test lint format clean parity differences embedded strong calibration own-crops report benchmarks-page bench bench-build

train: .venv/run  ## Trains and evaluates the embedded default.
	$(BIN)/python -m rireid_jax.main --config configs/joint.py $(TRAIN_FLAGS)

test: .venv/dev lint  ## Checks style and types, then runs every test.
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

parity: .venv/dev  ## Measures docs/parity.md.
	PYTHONPATH=tests $(BIN)/python -m parity.table

differences: .venv/dev  ## Computes the numbers of docs/paper-vs-released-code.md.
	PYTHONPATH=tests $(BIN)/python -m parity.differences

SEEDS ?= 0 1 2 3 4
EMBEDDED := $(SEEDS:%=runs/embedded-seed%)
embedded: .venv/run  ## Measures docs/embedded.md: a run for every seed.
	for seed in $(SEEDS); do \
		$(BIN)/python -m rireid_jax.main --config configs/systems.py --config.seed=$$seed \
			--workdir runs/embedded-seed$$seed || exit; \
	done
	$(BIN)/python benchmarks/embedded.py $(EMBEDDED) > docs/embedded.md

STRONG_SEEDS ?= 0
STRONG := $(STRONG_SEEDS:%=runs/strong-seed%)
strong: .venv/run  ## Measures docs/strong.md: a run of eight systems for every seed.
	for seed in $(STRONG_SEEDS); do \
		$(BIN)/python -m rireid_jax.main --config configs/strong_systems.py --config.seed=$$seed \
			--workdir runs/strong-seed$$seed || exit; \
	done
	$(BIN)/python benchmarks/strong.py $(STRONG) > docs/strong.md

CALIBRATION_SEEDS ?= 0 1 2
calibration: .venv/dev  ## Measures docs/calibration.md: thresholds on new people.
	for seed in $(CALIBRATION_SEEDS); do \
		$(BIN)/python -m rireid_jax.main --config configs/joint.py --config.run="('backbone','rife')" \
			--config.baseline= --config.stages.backbone.epochs=4 --config.stages.rife.epochs=4 \
			--config.seed=$$seed --config.data.recipe.seed=$$seed \
			--workdir runs/calibration-seed$$seed || exit; \
	done
	$(BIN)/python benchmarks/calibration.py $(CALIBRATION_SEEDS:%=runs/calibration-seed%) > docs/calibration.md

own-crops: .venv/dev  ## Runs the README's script in a fresh environment, and prints the time of every line.
	$(BIN)/python benchmarks/own_crops.py

REPORT_FLAGS ?= --seeds=0,1
# SciPy's own threads get in each other's way in the small problems of the classical systems.
report: export OMP_NUM_THREADS = 1
report: .venv/dev  ## Trains the rows of the paper's tables; writes runs/ablation-pedestrians/report, docs/reproduction.md.
	$(BIN)/python -m rireid_jax.main --mode report --config configs/ablation.py \
		--workdir runs/ablation-pedestrians $(REPORT_FLAGS)
	$(BIN)/python benchmarks/reproduction.py runs/ablation-pedestrians > docs/reproduction.md

benchmarks-page: .venv/run  ## Writes docs/benchmarks.md from the code's tables.
	$(BIN)/python benchmarks/describe.py > docs/benchmarks.md

BENCHMARKS := steps pipeline ranking reranking startup checkpoints
bench: .venv/dev  ## Measures benchmarks/results.md: speed compared with PyTorch and NumPy.
	for name in $(BENCHMARKS); do PYTHONPATH=tests $(BIN)/python benchmarks/$$name.py || exit; done

bench-build: .venv/dev  ## Measures benchmarks/build.md: speed and memory of building data sets.
	$(BIN)/python benchmarks/build.py > benchmarks/build.md

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

# One environment, in two steps, so that training does not wait for what only tests need.
.venv/run: pyproject.toml $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable .
	touch $@

.venv/dev: .venv/run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) \
		--editable '.[dev,torch]'
	touch $@
