# Other projects' clients of AWS Batch against the embedded one: included by the Makefile of the project.
CLIENTS ?= .venv-clients
export CLIENTS
CLIENT_TESTS := packages/aws-batch-emulator/tests/clients

.PHONY: clients clients-pins

clients: $(VENV)/.installed $(CLIENTS)/.installed ## run AWS's and others' clients against the embedded Batch; the SDK for JavaScript needs npm
	@if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --no-package-lock --prefix $(CLIENT_TESTS); fi
	@$(BIN)/python -m pytest $(CLIENT_TESTS)

# They need Python 3.11 or newer.
$(CLIENTS)/.installed: requirements-clients.txt
	@test -x $(CLIENTS)/bin/python || $(PYTHON) -m venv $(CLIENTS)
	@echo "installing clients of AWS Batch into $(CLIENTS) (some minutes)"
	@$(call INSTALL,$(CLIENTS),-r requirements-clients.txt)
	@touch $@

clients-pins: $(VENV)/.installed
	@$(BIN)/uv pip compile --quiet --python-version 3.11 --no-annotate --no-header --no-emit-index-url \
	  --no-emit-find-links requirements-clients.in --output-file requirements-clients.new
	@{ echo "# Exact versions for Python 3.11; made by \`make pins\` from requirements-clients.in. No addresses: pip finds them where it is set up to."; \
	  cat requirements-clients.new; } > requirements-clients.txt; rm -f requirements-clients.new
