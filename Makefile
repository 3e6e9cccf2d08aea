SHELL := /bin/sh
PORT ?= 8080
ENV ?= dev
ARCH ?= arm64

bin := build/tools/bin
pulumi := $(bin)/pulumi
pulumi_version := $(shell sed -n 's|^.*github.com/pulumi/pulumi/pkg/v3 \(v[0-9.]*\).*|\1|p' tools/go.mod)
build_tool := go build -modfile=tools/go.mod -trimpath -o $(bin)/

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

.PHONY: local
local: tools-pulumi build/expenzez ## Run the whole backend on this machine: PORT=8080
	@exec build/expenzez local --port $(PORT)

.PHONY: smoke
smoke: tools-pulumi build/expenzez ## Start it, drive the scenario over HTTP, stop
	@exec build/expenzez smoke

.PHONY: preview
preview: tools-pulumi build/expenzez ## What a deployment of ENV would make, without credentials; leaves build/preview/ENV.json
	@exec build/expenzez preview --env $(ENV)

.PHONY: export
export: tools-pulumi build/expenzez ## ENV as the local cloud deploys it; leaves build/export/ENV.json
	@exec build/expenzez export --env $(ENV)

.PHONY: package
package: build/expenzez ## Build the functions' zips for arm64 (ARCH=amd64); leaves build/lambda
	@exec build/expenzez package --arch $(ARCH)

.PHONY: up
up: package ## Deploy ENV to AWS with your own credentials and an installed Pulumi CLI
	@command -v pulumi-language-go >/dev/null || { echo "make up needs the Pulumi CLI with its Go language host on PATH: https://www.pulumi.com/docs/install" >&2; exit 1; }
	pulumi up --stack $(ENV)

.PHONY: test
test: tools build/expenzez ## Everything that a pull request must pass
	@tools/test

.PHONY: bench
bench: ## Measure against the alternatives, with ratios; leaves build/bench.txt
	@tools/bench

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME=30s
	@tools/fuzz

.PHONY: lint
lint: tools-lint ## Linters, formatting, generated files, and secrets in the whole history
	@tools/lint

.PHONY: tools
tools: tools-pulumi tools-lint ## Build the pinned tools into build/tools/bin

# The folders that a binary is made from decide whether it is current; go build itself is what knows.
.PHONY: build/expenzez
build/expenzez:
	@tools/step "compiling expenzez" go build -o build/expenzez ./cmd/expenzez

# A pulumi on PATH that is new enough is used as it is.
.PHONY: tools-pulumi
tools-pulumi:
	@if [ ! -x $(pulumi) ] || [ "$$($(pulumi) version)" != "$(pulumi_version)" ]; then \
	  if tools/newer "$(pulumi_version)"; then mkdir -p $(bin) && ln -sf "$$(command -v pulumi)" $(pulumi); \
	  else tools/step "compiling the Pulumi CLI $(pulumi_version), once, about three minutes" \
	    $(build_tool) -ldflags "-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=$(pulumi_version)" github.com/pulumi/pulumi/pkg/v3/cmd/pulumi; fi; fi

.PHONY: tools-lint
tools-lint: $(bin)/golangci-lint $(bin)/gitleaks

$(bin)/golangci-lint: tools/go.mod
	@tools/step "compiling golangci-lint, once" $(build_tool) github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

$(bin)/gitleaks: tools/go.mod
	@tools/step "compiling gitleaks, once" $(build_tool) github.com/zricethezav/gitleaks/v8
	@touch $@
