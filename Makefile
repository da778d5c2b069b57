# make test and make demo set up what they need by themselves.
GO     ?= go
PKGS   ?= ./...
CACHE  := .cache

DURATION ?= 10m
# of make mutants: -run lease, -rotate 6, -list
MUTANTS ?=
# of make hostile: -hostile.seed 7, -hostile.steps 500
HOSTILE ?=
# of make fuzz: -run Cost, -rotate 2, -for 10s, -list
FUZZ ?=

.PHONY: help build functions demo image sbom kind-demo test chaos mutants hostile fuzz lint bench bench-check bench-scale cost fetch vuln site release yours clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

build: ## static binaries in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/ ./cmd/...

functions: ## deployment packages of the Lambda functions in dist/, with their hashes
	$(GO) run ./cmd/package-functions

demo: ## the whole pipeline on this machine
	$(GO) run ./cmd/demo

image: ## the image, with docker
	docker build --build-arg VERSION=$(VERSION) --tag localhost/streaming-pipeline:$(or $(VERSION),dev) .

sbom: ## what is in the image's programs, as CycloneDX files in dist/
	docker build --target sbom --output dist .

kind-demo: ## the chart on your kind or minikube: image, stand-in for AWS, 20,000 trips, checked
	$(GO) run ./helm/demo

test: fetch ## all tests, with emulators and readers fetched into .cache/
	$(GO) test -race -timeout 15m $(PKGS)

chaos: fetch ## daemons in a storm of faults, DURATION=10m: every record exactly once
	$(GO) test -run TestStorm -count=1 -timeout 2h -v ./internal/test/chaos -args -chaos.duration $(DURATION)

mutants: ## single faults in the code that keeps the promise, each with the test that notices it
	$(GO) run ./internal/test/mutants $(MUTANTS)

hostile: ## search for the record that costs most, on a machine with nothing else to do, HOSTILE='-hostile.seed 7'
	$(GO) test -count=1 ./internal/test/hostile -args -hostile.cpu -hostile.steps 60 $(HOSTILE)

fuzz: ## all fuzz targets, each for 10 seconds
	$(GO) run ./internal/test/fuzz $(FUZZ)

fetch: ## emulators and readers for the tests
	$(GO) run ./internal/test/emulator/fetch

lint: ## format, vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -d $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

vuln: ## known vulnerabilities in what we call; left out, with a line that says so, where the database is out of reach
	@out=$$($(GO) tool govulncheck ./... 2>&1) && echo "$$out" || { echo "$$out"; case "$$out" in \
	  *"fetching vulnerabilities"*) echo "LEFT OUT: govulncheck: the vulnerability database is out of reach" ;; *) exit 1 ;; esac; }

bench: ## from the stream to the bucket, beside other programs, into docs/benchmarks.md; then stage by stage
	$(GO) run ./internal/test/bench -docs
	$(GO) test -run '^$$' -bench . -benchmem ./record/... ./consumer/source ./writers/... ./consumer/batch ./producer ./internal/localstream \
	  ./internal/lambdas ./cmd/write-to-s3 ./cmd/send-to-firehose

bench-check: ## fail where the daemon has lost its lead, allocates more or holds more; the race detector of make test hides that
	$(GO) run ./internal/test/bench -check
	$(GO) test -count=1 -run 'CostsMuchLess' ./consumer/source
	$(GO) test -count=1 -run 'ParquetHoldsTheBudget' ./writers

bench-scale: ## shards, cores, memory over time, catching up after a stop
	$(GO) run ./internal/test/bench -scale

cost: ## renew docs/cost.md from a measurement and the prices in cmd/cost
	$(GO) run ./internal/test/bench -cost cmd/cost/measured.json
	$(GO) run ./cmd/cost --page > docs/cost.md

# MkDocs with its theme, from PyPI
MKDOCS ?= $(CACHE)/site/bin/mkdocs

site: ## the website of the Markdown files in dist/site/, with every link checked
	@test -x $(MKDOCS) || { python3 -m venv $(CACHE)/site && $(CACHE)/site/bin/pip install --quiet --requirement docs/site/requirements.txt; }
	NO_MKDOCS_2_WARNING=1 $(MKDOCS) build --strict

release: ## archives, packages and SHA256SUMS in dist/, VERSION=1.2.3; with GNU tar
	.github/release "$(VERSION)"

yours: ## put the name of your repository in, REPOSITORY=acme/trips: docs/make-it-yours.md
	.github/make-it-yours "$(REPOSITORY)"

clean: ## what was built and fetched
	rm -rf bin dist $(CACHE) demo-output
