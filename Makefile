# `make demo` and `make test` work on a fresh machine with Python 3.11 or newer: the first installs what running needs, the second
# the tools besides.
PYTHON ?= python3
BIN := .venv/bin
VENV := .venv/pyvenv.cfg
RUNNABLE := .venv/.runnable
INSTALLED := .venv/.installed

# One compute thread per core at most, and no chatter from libraries, whichever command runs.
export TOKENIZERS_PARALLELISM := false
# Libraries are installed without bytecode: kept nowhere, every process would compile what it imports, for 20 s of processor time.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help install demo test check lint types imports test-all check-gpu bench-engine bench-release bench-falsification bench-scale bench-workers bench-scorer bench-faithfulness bench-paper bench-drift bench-length bench-probe bench-calibration bench-halving bench-online-level bench-parity bench-faults bench-report docs audit sbom image chart lock format clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

install: $(INSTALLED) ## create .venv and install calig with its development tools

# From a lock nothing is resolved or built; modules are compiled when they are first imported; and unpacking, which is most of the
# work, has two processes. torch is in no lock: its build, and what it needs, differ by platform.
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install --no-compile
LOCKED := $(PIP) --no-deps --only-binary :all: --require-hashes -r
TORCH := $(shell grep '^torch==' constraints.txt)
TOGETHER := +@$(MAKE) --no-print-directory --jobs 2

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "calig needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	@$(PYTHON) -m venv .venv
	@echo "installing (a few minutes the first time) …"

.venv/.torch: constraints.txt | $(VENV)
	@$(PIP) --no-deps $(TORCH)
	@touch $@

.venv/.run .venv/.tools: .venv/.%: deploy/lock/%.txt | $(VENV)
	@$(LOCKED) $<
	@touch $@

$(RUNNABLE): pyproject.toml constraints.txt deploy/lock/run.txt | $(VENV)
	$(TOGETHER) .venv/.run .venv/.torch
	@$(PIP) -c constraints.txt $(TORCH)
	@$(PIP) --no-deps --no-build-isolation -e .
	@$(BIN)/python -m pip check
	@touch $@

$(INSTALLED): pyproject.toml constraints.txt deploy/lock/run.txt deploy/lock/tools.txt | $(VENV)
	$(TOGETHER) .venv/.run .venv/.tools .venv/.torch
	@$(MAKE) --no-print-directory $(RUNNABLE)
	@$(BIN)/python -m pip check
	@touch $@

demo: $(RUNNABLE) ## train two versions, one with a planted shortcut, and watch it being caught (about 3 minutes)
	$(BIN)/calig demo

# The tests' models are so small that threads only wait for each other: a process per core instead. A file's tests stay together,
# for they share servers and trained models.
test test-all: export OMP_NUM_THREADS := 1
WORKERS ?= logical
SPREAD = -n $(WORKERS) --maxprocesses 4 --dist loadfile
# They commit thousands of small transactions, each of which a disk makes wait: in memory, where that has room and may run programs.
IN_MEMORY = test "$$(df --output=avail -k /dev/shm 2>/dev/null | tail -1)" -gt 4000000 && ! grep -q '/dev/shm .*noexec' /proc/mounts
PYTEST = TMPDIR=$${TMPDIR:-$$( ($(IN_MEMORY)) 2>/dev/null && echo /dev/shm || echo /tmp)} $(BIN)/pytest $(SPREAD)

test: install ## the everyday tests; WORKERS=0 for one process
	$(PYTEST) -m "not slow"

check: lint types imports test-all ## what CI runs: lint, types, import rules, all tests

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

test-all: install ## the everyday tests and the slow ones: real servers, training, a browser
	$(PYTEST)

check-gpu: install ## what only a GPU can show: parity, memory, speed (8 minutes on an H100); results in $OUT, else build/gpu
	OUT=$${OUT:-build/gpu} $(BIN)/python -m tests.gpu.check

bench-engine: install ## time the engine against a loop of Captum; MODELS="tiny FOLDER …", and ROWS=FILE.jsonl for folders
	$(BIN)/python -m tests.benchmarks.bench_engine $(addprefix --model ,$(MODELS)) $(if $(ROWS),--rows $(ROWS))

bench-release: install ## seconds of a whole `calig explain` by stage: MODEL=FOLDER REFERENCE=FOLDER ROWS=FILE.jsonl NAME=TITLE; SIZES="200 2000", WORDS=N
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_release $(addprefix --sizes ,$(SIZES)) $(if $(MODEL),--model $(MODEL)) $(if $(REFERENCE),--reference $(REFERENCE)) $(if $(ROWS),--rows $(ROWS)) $(if $(NAME),--name "$(NAME)") $(if $(WORDS),--words $(WORDS))

bench-falsification: install ## the attempt to falsify by fewer points, beside the run's own: MODEL=FOLDER ROWS=FILE.jsonl NAME=TITLE N=rows
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_falsification $(if $(MODEL),--model $(MODEL)) $(if $(ROWS),--rows $(ROWS)) $(if $(NAME),--name "$(NAME)") $(if $(N),--n $(N))

bench-scale: install ## time and memory as rows grow, and the estimate beforehand; STAGES="drift monitor …" for these steps alone
	$(BIN)/python -m tests.benchmarks.bench_scale $(addprefix --stage ,$(STAGES))

bench-workers: install ## rows per second with 1, 2, 4 workers on threads, processes, Dask, Ray
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_workers

bench-drift: install ## false alarms and detections of drift over many pairs of versions (about an hour; goes on where it stopped); DRAW=N, PRETRAINED="FILE.json …", PAIRS=N for fewer
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_drift $(if $(DRAW),--draw $(DRAW)) $(addprefix --pretrained ,$(PRETRAINED)) $(if $(PAIRS),--pairs $(PAIRS) --output build/drift/drift.json)

bench-length: install ## whether a planted word is found in texts of 10 to 500 tokens (about 20 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_length

bench-probe: install ## how far words move between honest retrainings: HONEST="FOLDER FOLDER …" ROWS=FILE.jsonl NAME=TITLE; PLANTED="FOLDER=WORD …" ALSO="WORD …" WORDS=N
	$(BIN)/python -m tests.benchmarks.bench_probe $(addprefix --honest ,$(HONEST)) $(addprefix --planted ,$(PLANTED)) $(addprefix --also ,$(ALSO)) $(if $(WORDS),--words $(WORDS)) --rows $(ROWS) --name "$(NAME)"

bench-calibration: install ## false alarms and detections of the probe's rule on simulated noise that differs between words (about 2 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_calibration

bench-parity: install ## every family's layer attributions against Captum's: errors, points (2 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_parity

bench-halving: install ## the probe's verdicts and texts by successive halving, beside all words in all contexts (5 minutes; DRIFT_WORK=build/drift/draw-N: on the pairs of bench-drift, too)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_halving $(if $(DRIFT_WORK),--drift-work $(DRIFT_WORK))

bench-online-level: install ## false alarms a day and detections over 60 days of 20 versions, simulated: one level for each, or LORD++ (20 s of processor time)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_online_level

bench-scorer: install ## time ONNX Runtime against torch eager on perturbed inputs; MODELS and ROWS as for bench-engine
	$(BIN)/python -m tests.benchmarks.bench_scorer $(addprefix --model ,$(MODELS)) $(if $(ROWS),--rows $(ROWS))

bench-faithfulness: install ## CA-LIG, controls and peers (more with '.[benchmarks]') on digits, TEXTS="NAME=MODEL_FOLDER,ROWS.jsonl …", PLANTED="NAME=MODEL_FOLDER,ROWS.jsonl,WORD,CLASS …" and models trained on TRAIN=TEXTS.jsonl.gz, also PRETRAINED="NAME=FOLDER …"; N=rows
	$(BIN)/python -m tests.benchmarks.bench_faithfulness $(addprefix --text ,$(TEXTS)) $(addprefix --planted ,$(PLANTED)) $(if $(TRAIN),--train $(TRAIN)) $(addprefix --pretrained ,$(PRETRAINED)) $(if $(N),--rows $(N))

bench-paper: install ## the paper's own table: REVIEWS=MOVIE_REVIEWS.jsonl.gz with rationales, by MODEL=FOLDER or a small one trained here, N=rows; images by a masked autoencoder (goes on where it stopped)
	$(BIN)/python -m tests.benchmarks.bench_paper $(if $(REVIEWS),--reviews $(REVIEWS)) $(if $(MODEL),--model $(MODEL)) $(if $(N),--rows $(N))

bench-faults: install ## hundreds of faults against real servers, then load (about an hour; goes on where it stopped); FAULTS=N for fewer
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_faults $(if $(FAULTS),--faults $(FAULTS))

bench-report: install ## size of the report and its times in Chromium at 100, 1,000 and 10,000 rows
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_report

docs: install ## build the documentation into build/docs; a broken link or reference is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict -f deploy/mkdocs.yml

audit: ## known vulnerabilities of the pinned dependencies; needs the network, and fails when it could not judge
	@test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv build/audit && build/audit/bin/pip install --quiet 'pip-audit>=2.9'; }
	build/audit/bin/python deploy/audit.py

sbom: install ## bill of materials of the environment, build/sbom.json (CycloneDX); of another one: ENVIRONMENT=FOLDER
	@test -x build/sbom/bin/cyclonedx-py || { $(PYTHON) -m venv build/sbom && build/sbom/bin/pip install --quiet 'cyclonedx-bom>=7'; }
	build/sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file build/sbom.json $(or $(ENVIRONMENT),.venv)

# A tag moves: what others run is built on a digest, which the image's labels then name.
CONTAINER_BUILD ?= docker build
TESTED_BASE = $(shell sed -n 's/^ARG BASE=//p' deploy/Dockerfile)
DIGEST := ^[^@[:space:]]+@sha256:[0-9a-f]{64}$$
image: ## build the image for others: BASE=python@sha256:… TAG=registry.example/calig:0.1.0; CUDA=1 for workers with GPUs
	@test -n "$(TAG)" || { echo "image: no TAG: the image's name, TAG=registry.example/calig:0.1.0" >&2; exit 2; }
	@echo '$(BASE)' | grep -Eq '$(DIGEST)' || { echo "image: BASE is not pinned: got '$(BASE)', wanted NAME@sha256:64 hexadecimal digits. The digest of the tag that was tested: docker buildx imagetools inspect $(TESTED_BASE)" >&2; exit 2; }
	$(CONTAINER_BUILD) --build-arg BASE=$(BASE) $(BUILD_ARGUMENTS) --file deploy/Dockerfile$(if $(CUDA),.cuda) --tag $(TAG) .

chart: install ## package the Helm chart into build/
	$(BIN)/python -c "import helm_python; print(helm_python.package('deploy/helm/calig', destination='build'))"

lock: ## resolve the dependencies anew into deploy/lock, within constraints.txt; needs the network
	@test -x build/lock/bin/python || { $(PYTHON) -m venv build/lock && build/lock/bin/pip install --quiet 'uv>=0.13'; }
	build/lock/bin/python deploy/lock.py

format: install ## put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what the commands above made
	rm -rf .venv .demo calig-runs build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
