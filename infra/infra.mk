# Images and AWS: included by the Makefile of the project.
INFRA   ?= .venv-infra
ENGINE  ?= $(or $(shell command -v docker),$(shell command -v podman))
IMAGE   ?= wordfreq:local
DAGSTER_IMAGE ?= wordfreq-dagster:local
# The CDK reads both names, boto3 only the second.
ifneq ($(AWS_REGION),)
export AWS_DEFAULT_REGION ?= $(AWS_REGION)
endif
CDK     := cd infra && CDK_DOCKER=$(ENGINE) WORDFREQ_INFRA_PYTHON=$(CURDIR)/$(INFRA)/bin/python JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=1 node_modules/.bin/cdk
# Options of the deployment, e.g. OPTIONS="network=nat dagster=true email=me@example.org".
CONTEXT = $(foreach option,$(OPTIONS),-c '$(option)')
NAME    = $(or $(patsubst name=%,%,$(filter name=%,$(OPTIONS))),wordfreq)
REVISION = $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
PODMAN   = $(findstring podman,$(ENGINE))
# The images' time is that of the revision, so that the same sources give the same image.
EPOCH   := $(shell git log -1 --format=%ct 2>/dev/null || echo 315532800)
CREATED := $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null || echo 1980-01-01T00:00:00Z)
SAME     = --build-arg SOURCE_DATE_EPOCH=$(EPOCH) $(if $(PODMAN),--timestamp $(EPOCH))
OCI      = org.opencontainers.image
LABELS   = --build-arg REVISION=$(REVISION) --label $(OCI).created=$(CREATED) \
  $(if $(SOURCE_URL),--label $(OCI).source=$(SOURCE_URL) --label $(OCI).url=$(SOURCE_URL)) \
  $(if $(findstring @,$(BASE_IMAGE)),--label $(OCI).base.digest=$(lastword $(subst @, ,$(BASE_IMAGE))))
# PLATFORM=linux/arm64 builds for Graviton, PLATFORM=linux/amd64,linux/arm64 for both under one name.
, := ,
BOTH     = $(findstring $(,),$(PLATFORM))
NAMED    = $(if $(and $(BOTH),$(PODMAN)),--manifest,--tag)
# An image is built while deploying unless one is given.
given    = $(filter-out $(1)=asset,$(filter $(1)=%,$(OPTIONS)))
BUILDS   = $(if $(call given,image),,yes)$(if $(filter dagster=true,$(OPTIONS)),$(if $(call given,dagster_image),,yes))
READY    = $(INFRA)/bin/python infra/ready.py

# $(call tool,<environment>,<program>,<package>): of no pinned list, so with what it depends on.
tool = test -x $(1)/bin/$(2) || { echo "installing $(3) into $(1)"; $(PYTHON) -m venv $(1) && $(1)/bin/python -m pip install --quiet $(3); }

# $(call build,<name>,<options and context>): with BASE_IMAGE, BUILD_IMAGE, or HOST_BASE=1 for bases of this machine.
define build
	@test -n "$(ENGINE)" || { echo "neither docker nor podman is installed" >&2; exit 1; }
	@$(ENGINE) info >/dev/null 2>&1 || { echo "$(ENGINE) is installed but doesn't answer: start it, or name another by ENGINE=podman" >&2; exit 1; }
	@base='$(BASE_IMAGE)' build='$(BUILD_IMAGE)'; \
	if [ -n "$(HOST_BASE)" ]; then \
	  base=$$(ENGINE=$(ENGINE) infra/host_base.sh) || exit 1; \
	  build=$$(COMPILER=1 ENGINE=$(ENGINE) infra/host_base.sh) || build=$$base; \
	fi; \
	$(if $(and $(BOTH),$(PODMAN)),$(ENGINE) manifest rm $(1) 2>/dev/null;) \
	$(ENGINE) build $(NAMED) $(1) $(if $(PLATFORM),--platform $(PLATFORM)) $${base:+--build-arg BASE_IMAGE=$$base} $${build:+--build-arg BUILD_IMAGE=$$build} \
	  $(SAME) $(LABELS) $(BUILD_ARGS) $(2)
endef

.PHONY: image image-dagster push sbom infra-setup infra-test infra-types infra-synth infra-costs infra-pins infra-policies infra-pairs infra-pairs-page infra-checkov bootstrap diff deploy destroy migrate

image: ## build the image of the jobs; BASE_IMAGE=…, or HOST_BASE=1 without any registry; PLATFORM=linux/amd64,linux/arm64 for both
	$(call build,$(IMAGE),batch_image)

image-dagster: ## build the image of Dagster's own services (docker-compose.yaml)
	$(call build,$(DAGSTER_IMAGE),-f infra/dagster/Dockerfile .)

push: ## push IMAGE to ECR: REPOSITORY=<account>.dkr.ecr.<region>.amazonaws.com/<name>, TAG (git revision)
	@echo "$(REPOSITORY)" | grep -qE '^[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[a-z0-9._/-]+$$' || { \
	  echo "make push REPOSITORY=<account>.dkr.ecr.<region>.amazonaws.com/<name> (it is '$(REPOSITORY)')" >&2; exit 2; }
	@command -v aws >/dev/null || { echo "the aws command isn't installed" >&2; exit 1; }
	@password=$$(aws ecr get-login-password --region $(word 4,$(subst ., ,$(REPOSITORY)))) || exit 1; \
	  echo "$$password" | $(ENGINE) login --username AWS --password-stdin $(firstword $(subst /, ,$(REPOSITORY)))
	@if $(if $(PODMAN),$(ENGINE) manifest exists $(IMAGE),false); then \
	  $(ENGINE) manifest push --all $(IMAGE) docker://$(REPOSITORY):$(or $(TAG),$(REVISION)); \
	else \
	  $(ENGINE) tag $(IMAGE) $(REPOSITORY):$(or $(TAG),$(REVISION)) && $(ENGINE) push $(REPOSITORY):$(or $(TAG),$(REVISION)); \
	fi
	@echo "deploy it: make deploy OPTIONS=\"image=$(REPOSITORY):$(or $(TAG),$(REVISION))\""

# What is in the image, from its own files; the tool is in an environment of its own and never in the image.
SBOM_TOOL ?= .venv-sbom
SBOM      ?= wordfreq.cdx.json
sbom: ## write the bill of materials (CycloneDX) of IMAGE to SBOM (wordfreq.cdx.json)
	@$(call tool,$(SBOM_TOOL),cyclonedx-py,cyclonedx-bom==7.5.0)
	@ENGINE=$(ENGINE) infra/sbom.sh $(IMAGE) $(SBOM_TOOL)/bin/cyclonedx-py $(SBOM)

infra-setup: $(INFRA)/.installed infra/node_modules/.installed ## install CDK (needs node; 700 MB)

$(INFRA)/.installed: infra/requirements.txt
	@test -x $(INFRA)/bin/python || $(PYTHON) -m venv $(INFRA)
	@echo "installing the AWS CDK into $(INFRA)"
	@$(call INSTALL,$(INFRA),-r infra/requirements.txt)
	@touch $@

infra/node_modules/.installed: infra/package.json
	@cd infra && npm install --silent --no-package-lock
	@touch $@

infra-test: infra-setup $(EMULATORS)/.installed ## test the infrastructure (part of `make test`)
	@$(INFRA)/bin/python -m pytest -c tests/infra/pytest.ini --rootdir tests/infra --confcutdir tests/infra tests/infra -n $(WORKERS) --dist loadfile $(INFRA_PYTEST_ARGS)

infra-pairs: infra-setup ## compare deployments with every two options changed together, and run a deployment's life on ministack (10 minutes or more)
	@WORDFREQ_INFRA_PAIRS=1000000 $(INFRA)/bin/python -m pytest -c tests/infra/pytest.ini --rootdir tests/infra --confcutdir tests/infra tests/infra/test_changes.py tests/infra/test_life.py --durations 3

infra-pairs-page: infra-setup ## rewrite docs/aws-changes.md from the templates
	@WORDFREQ_INFRA_WRITE=1 $(INFRA)/bin/python -m pytest -q -c tests/infra/pytest.ini --rootdir tests/infra --confcutdir tests/infra tests/infra/test_changes.py -k those_that_are_compared

infra-types: infra-setup $(VENV)/.installed ## check the types of the infrastructure
	@cd infra && ../$(BIN)/mypy --config-file ../pyproject.toml --python-executable ../$(INFRA)/bin/python \
	  app.py teardown.py ready.py task.py policies.py wordfreq_infra

# `make lint` checks them too once the CDK is installed; the first time takes a minute.
ifneq ($(wildcard $(INFRA)/.installed),)
lint: infra-types
endif

infra-costs: ## print the cost table of docs/aws.md, computed from its assumptions
	@$(PYTHON) infra/costs.py

infra-policies: infra-setup ## rewrite infra/policies/*.json from the CDK app
	@$(INFRA)/bin/python infra/policies.py

infra-synth: infra-setup ## write the CloudFormation templates to infra/cdk.out; OPTIONS
	@$(CDK) synth --quiet --all $(CONTEXT)

bootstrap: infra-setup ## once an account and region: what cdk itself needs there
	@$(READY)
	@$(CDK) bootstrap

diff: infra-setup ## show what `make deploy` with the same OPTIONS would change
	@$(CDK) diff --all $(CONTEXT)

deploy: infra-setup ## deploy to AWS; OPTIONS; CDK_ARGS=--require-approval=never without a terminal; writes infra/outputs.json
	@$(READY) $(if $(BUILDS),--engine '$(ENGINE)') --options '$(OPTIONS)'
	@$(CDK) deploy --all --outputs-file outputs.json $(CONTEXT) $(CDK_ARGS)
	@echo "use it: export WORDFREQ_OUTPUTS=$(CURDIR)/infra/outputs.json"

destroy: infra-setup ## remove the deployment; the same OPTIONS; DELETE_ALL_DATA=1 ends jobs and empties buckets not kept; STACKS; CDK_ARGS=--force without a terminal
	@$(READY)
	@$(INFRA)/bin/python infra/teardown.py --name $(NAME) $(if $(DELETE_ALL_DATA),--delete-all-data)
	@$(CDK) destroy $(or $(STACKS),--all) $(CONTEXT) $(CDK_ARGS)

# In an environment of its own: 350 MB, and pins that others need newer.
CHECKOV ?= .venv-checkov
infra-checkov: infra-synth ## check the templates of OPTIONS with checkov; findings that stay: infra/checkov.yaml
	@$(call tool,$(CHECKOV),checkov,checkov==3.3.30)
	@$(CHECKOV)/bin/checkov --directory infra/cdk.out --config-file infra/checkov.yaml

migrate: infra-setup ## bring the database of Dagster on ECS to the deployed version; OPTIONS; COMMAND runs another command there
	@$(INFRA)/bin/python infra/task.py --name $(NAME) -- $(or $(COMMAND),dagster instance migrate)

infra-pins: $(VENV)/.installed ## renew the requirements of images and infrastructure
	@for name in infra/requirements infra/dagster/requirements batch_image/requirements batch_image/requirements-build; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --fork-strategy requires-python \
	    $$(test $$name = infra/requirements || echo -c requirements.txt --generate-hashes) --no-annotate --no-header \
	    --no-emit-index-url --no-emit-find-links $$name.in > $$name.new && \
	  { echo "# Exact versions for every Python from 3.10 on; made by \`make infra-pins\` from $${name##*/}.in. No addresses."; \
	    cat $$name.new; } > $$name.txt; rm -f $$name.new; \
	done
