# Everything sets itself up: Python 3.10 to 3.14 with pip and venv is all that is needed.
#   make demo     run the main job on real text from this machine, then show the ranking
#   make help     the other targets

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# of the environment's own Python; one uv serves all environments
INSTALL = PATH="$(abspath $(BIN)):$$PATH" $(1)/bin/python -m demo.install $(2)
LOCAL  := $(CURDIR)/.local
PORT   ?= 3000
# Files of tests at a time: more than cores, because many tests wait. PYTEST_ARGS=tests/unit runs a part.
WORKERS ?= 4
PYTEST_ARGS ?= -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 30
# AWS services on this machine; their own environment, because they pin what others need newer.
EMULATORS ?= .venv-emulators
export EMULATORS
# Nothing is compiled ahead: without this cache each process would compile Dagster again, for seconds.
unexport PYTHONDONTWRITEBYTECODE

# One Dagster instance for the demo, the UI and the command line.
export DAGSTER_HOME ?= $(LOCAL)/dagster
export WORDFREQ_HOME ?= $(LOCAL)

.DEFAULT_GOAL := help
.PHONY: help setup emulators demo demo-csv ui test test-long model matrix console-blocks kinds lint types format reference \
  screenshots pins clean

help: ## show this list
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.installed ## create the virtual environment with the pinned packages

KERNEL := batch_image/setup.py $(wildcard batch_image/kernel/*/*.[ch])

$(VENV)/.runtime: requirements.txt pyproject.toml batch_image/pyproject.toml $(wildcard packages/*/pyproject.toml) $(KERNEL)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing pinned packages into $(VENV) (some 110, about 400 MB)"
	@$(call INSTALL,$(VENV),-r requirements.txt)
	@rm -f batch_image/wordfreq_batch/*.so  # the extension is optional: a failed build must not leave an old one
	@$(call INSTALL,$(VENV),--no-build-isolation -e packages/dagster-aws-batch -e packages/aws-batch-emulator -e batch_image -e .)
	@touch $@

$(VENV)/.installed: $(VENV)/.runtime requirements-dev.txt
	@echo "installing test tools into $(VENV)"
	@$(call INSTALL,$(VENV),-r requirements-dev.txt)
	@touch $@

emulators: $(EMULATORS)/.installed ## install the emulator of DynamoDB, SQS, EventBridge and S3

$(EMULATORS)/.installed: requirements-emulators.txt
	@test -x $(EMULATORS)/bin/python || $(PYTHON) -m venv $(EMULATORS)
	@echo "installing AWS emulators into $(EMULATORS)"
	@$(call INSTALL,$(EMULATORS),-r requirements-emulators.txt)
	@touch $@

demo: $(VENV)/.runtime ## count real text of this machine, or SOURCE=<folder or s3://bucket/prefix>
	@$(BIN)/python -m demo.word_frequency $(if $(SOURCE),--source '$(SOURCE)')

demo-csv: $(VENV)/.runtime $(EMULATORS)/.installed ## load CSVs made on the spot into DynamoDB (an emulator)
	@$(BIN)/python -m demo.csv_to_dynamodb $(if $(ROWS),--rows $(ROWS))

ui: $(VENV)/.runtime ## open the same instance in the Dagster UI on PORT (3000)
	@exec $(BIN)/python -m demo.word_frequency --ui $(PORT) $(if $(SOURCE),--source '$(SOURCE)')

test: $(VENV)/.installed $(EMULATORS)/.installed ## run all tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)
	@if command -v node >/dev/null && command -v npm >/dev/null; then $(MAKE) --no-print-directory infra-test; \
	  elif [ "$$CI" = true ]; then echo "the tests of infra/ need node and npm" >&2; exit 1; \
	  else echo "the tests of infra/ were left out: they need node and npm"; fi

# What the short forms in `make test` leave out: every error of AWS in every call instead of some of each
# class; longer histories of files and runs, drawn at random; larger arrays that are killed.
test-long: $(VENV)/.installed ## run the long forms of some tests (an hour or more)
	@BATCH_TEST_ERRORS=all WORDFREQ_TEST_STEPS=40 WORDFREQ_TEST_EXAMPLES=5 WORDFREQ_TEST_CHILDREN=200 \
	  $(BIN)/python -m pytest -n $(WORKERS) --timeout 0 tests/model tests/e2e/test_hard_times.py \
	  packages/dagster-aws-batch/tests/integration/failures/test_every_error.py

model: $(VENV)/.installed ## the model-based test at random, for hours: STEPS=50 steps in each of EXAMPLES=100 examples
	@WORDFREQ_TEST_STEPS=$(or $(STEPS),50) WORDFREQ_TEST_EXAMPLES=$(or $(EXAMPLES),100) $(BIN)/python -m pytest -s -o timeout=0 tests/model/test_words.py tests/model/test_csv.py $(MODEL_ARGS)

matrix: $(VENV)/.installed ## end a run in every way at many events, then go on in every way; MATRIX=FILE keeps the rows
	@WORKERS=$(WORKERS) $(BIN)/python -m tests.model.test_matrix $(MATRIX)

console-blocks: $(VENV)/.installed ## type every shell block of the docs in a fresh clone, show what came and what isn't typed
	@$(BIN)/python -m pytest -q -rP tests/e2e/test_readme.py

kinds: $(VENV)/.installed ## print what `wordfreq count` makes of each kind of input, a line of 1 GB among them
	@$(BIN)/python -m tests.integration.batch_image.text.kinds

lint: $(VENV)/.installed ## check style, types and workflows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory types
	@$(BIN)/zizmor --offline --quiet .github
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

types: $(VENV)/.installed ## check the types
	@$(BIN)/mypy wordfreq_dagster batch_image/wordfreq_batch packages/*/src demo packages/dagster-aws-batch/tests/typing
	@$(BIN)/ty check --quiet --project packages/dagster-aws-batch --python $(abspath $(VENV))

format: $(VENV)/.installed ## rewrite the code in the project's format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

reference: $(VENV)/.installed ## rewrite docs/commands.md from the programs' help
	@$(BIN)/python docs/commands.py

screenshots: $(VENV)/.installed ## take the pictures of the docs anew, in Chromium
	@$(BIN)/python docs/screenshots.py
	@$(BIN)/python packages/dagster-aws-batch/docs/screenshots.py

pins: $(VENV)/.installed ## renew requirements*.txt from requirements*.in
	@for name in requirements requirements-dev requirements-emulators requirements-bench; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.10 \
	    --fork-strategy requires-python --no-annotate --no-header \
	    --no-emit-index-url --no-emit-find-links $$name.in --output-file $$name.new && \
	  { echo "# Exact versions for every Python from 3.10 on; made by \`make pins\` from $$name.in. No addresses: pip finds them where it is set up to."; \
	    cat $$name.new; } > $$name.txt; rm -f $$name.new; \
	done
	@$(MAKE) --no-print-directory clients-pins

include infra/infra.mk
include packages/aws-batch-emulator/tests/clients/clients.mk
include benchmarks/bench.mk

clean: ## remove the demo's instance, results and caches (not the virtual environment)
	@rm -rf .local .pytest_cache .mypy_cache .ruff_cache build dist
