# Images and AWS: included by the Makefile of the project.
INFRA   ?= .venv-infra
ENGINE  ?= $(or $(shell command -v docker),$(shell command -v podman))
IMAGE   ?= wordfreq:local
CDK     := cd infra && WORDFREQ_INFRA_PYTHON=$(CURDIR)/$(INFRA)/bin/python JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=1 node_modules/.bin/cdk
# Options of the deployment, e.g. OPTIONS="network=nat dagster=true email=me@example.org".
CONTEXT = $(foreach option,$(OPTIONS),-c $(option))
NAME    = $(or $(patsubst name=%,%,$(filter name=%,$(OPTIONS))),wordfreq)
REVISION = $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

.PHONY: image image-dagster push infra-setup infra-test infra-synth infra-pins bootstrap deploy destroy

image: ## build the image of the jobs; BASE_IMAGE=…, or HOST_BASE=1 without any registry
	@test -n "$(ENGINE)" || { echo "neither docker nor podman is installed" >&2; exit 1; }
	@$(ENGINE) build -t $(IMAGE) --build-arg REVISION=$(REVISION) \
	  $(if $(HOST_BASE),--build-arg BASE_IMAGE=$$(ENGINE=$(ENGINE) infra/host_base.sh)) \
	  $(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE)) $(BUILD_ARGS) batch_image

image-dagster: ## build the image of Dagster's own services (docker-compose.yaml)
	@$(ENGINE) build -t wordfreq-dagster:local -f infra/dagster/Dockerfile \
	  $(if $(HOST_BASE),--build-arg BASE_IMAGE=$$(ENGINE=$(ENGINE) infra/host_base.sh)) \
	  $(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE)) $(BUILD_ARGS) .

push: ## push IMAGE to ECR: REPOSITORY=<account>.dkr.ecr.<region>.amazonaws.com/<name>, TAG (git revision)
	@test -n "$(REPOSITORY)" || { echo "make push REPOSITORY=<account>.dkr.ecr.<region>.amazonaws.com/<name>" >&2; exit 2; }
	@aws ecr get-login-password --region $(word 4,$(subst ., ,$(REPOSITORY))) | \
	  $(ENGINE) login --username AWS --password-stdin $(firstword $(subst /, ,$(REPOSITORY)))
	@$(ENGINE) tag $(IMAGE) $(REPOSITORY):$(or $(TAG),$(REVISION))
	@$(ENGINE) push $(REPOSITORY):$(or $(TAG),$(REVISION))
	@echo "deploy it: make deploy OPTIONS=\"image=$(REPOSITORY):$(or $(TAG),$(REVISION))\""

infra-setup: $(INFRA)/.installed infra/node_modules/.installed ## install CDK (needs node; 700 MB)

$(INFRA)/.installed: infra/requirements.txt
	@test -x $(INFRA)/bin/python || $(PYTHON) -m venv $(INFRA)
	@echo "installing the AWS CDK into $(INFRA)"
	@$(INFRA)/bin/pip install --quiet --disable-pip-version-check -r infra/requirements.txt
	@touch $@

infra/node_modules/.installed: infra/package.json
	@cd infra && npm install --silent --no-package-lock
	@touch $@

infra-test: infra-setup $(EMULATORS)/.installed ## test the infrastructure (part of `make test`)
	@$(INFRA)/bin/python -m pytest -c tests/infra/pytest.ini --rootdir tests/infra --confcutdir tests/infra tests/infra $(INFRA_PYTEST_ARGS)

infra-synth: infra-setup ## write the CloudFormation templates to infra/cdk.out; OPTIONS
	@$(CDK) synth --quiet --all $(CONTEXT)

bootstrap: infra-setup ## once an account and region: what cdk itself needs there
	@$(CDK) bootstrap

deploy: infra-setup ## deploy to AWS; OPTIONS; writes infra/outputs.json
	@$(CDK) deploy --all --outputs-file outputs.json $(CONTEXT)
	@echo "use it: export WORDFREQ_OUTPUTS=$(CURDIR)/infra/outputs.json"

destroy: infra-setup ## remove the deployment; the same OPTIONS; DELETE_ALL_DATA=1 empties buckets not kept
	@$(INFRA)/bin/python infra/empty_buckets.py --name $(NAME) $(if $(DELETE_ALL_DATA),--delete-all-data)
	@$(CDK) destroy --all $(CONTEXT)

infra-pins: ## renew the requirements of images and infrastructure
	@$(BIN)/pip install --quiet uv
	@for name in infra/requirements infra/dagster/requirements batch_image/requirements; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --fork-strategy requires-python \
	    $$(test $$name = infra/requirements || echo -c requirements.txt) --no-annotate --no-header \
	    --no-emit-index-url --no-emit-find-links $$name.in > $$name.new && \
	  { echo "# Exact versions for every Python from 3.10 on; made by \`make infra-pins\` from requirements.in. No addresses."; \
	    cat $$name.new; } > $$name.txt; rm -f $$name.new; \
	done
