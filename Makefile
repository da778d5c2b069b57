# make test and make demo fetch what they need by themselves.
GO     ?= go
PKGS   ?= ./...
CACHE  := .cache
# runs a tool of the tests, built as the programs are that the tests build, so that each package is compiled once for all of them
TOOL   := CGO_ENABLED=0 $(GO) run -trimpath

DURATION ?= 10m
# arguments of make gameday: -run TestGameDay/ConsumerAbsent
GAMEDAY ?=
# arguments of make simulate: -simulate.only life-10x1000, -simulate.out FOLDER
SIMULATE ?=
# arguments of make mutants: -run lease, -rotate 6, -list
MUTANTS ?=
# arguments of make hostile: -hostile.seed 7, -hostile.steps 500
HOSTILE ?=
# arguments of make fuzz: -run Cost, -rotate 2, -for 10s, -list
FUZZ ?=

.PHONY: help build generate functions demo image sbom kind-demo test chaos simulate gameday spark mutants hostile fuzz lint bench bench-parts bench-check bench-scale cost fetch vuln site release yours clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

build: ## build static binaries into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/ ./cmd/...

generate: ## renew the documents, chart values, parameters and dashboard that are made from the code
	$(GO) run ./cmd/generate

functions: ## build deployment packages of the Lambda functions into dist/, with their hashes
	$(GO) run ./cmd/package-functions

demo: ## run the whole pipeline on this machine
	$(GO) run ./cmd/demo

image: ## build the image with docker
	docker build --build-arg VERSION=$(VERSION) --tag localhost/streaming-pipeline:$(or $(VERSION),dev) .

sbom: ## list the contents of the image's programs as CycloneDX files in dist/
	docker build --target sbom --output dist .

kind-demo: ## run the chart on your kind or minikube: image, stand-in for AWS, 20,000 trips, checked
	$(GO) run ./helm/demo

test: fetch ## run all tests, with emulators and readers fetched into .cache/
	$(TOOL) ./internal/test/suite $(PKGS)

chaos: fetch ## run daemons under injected faults for DURATION=10m and check that every record is delivered once
	$(GO) test -run TestStorm -count=1 -timeout 2h -v ./internal/test/chaos -args -chaos.duration $(DURATION)

simulate: ## run fleets of up to 200 workers on 10,000 shards in virtual time, into docs/scale.md
	$(GO) test -run TestScale -count=1 -timeout 3h -v ./internal/test/simulate -args -simulate -simulate.out $(CURDIR)/dist/simulate -simulate.docs $(SIMULATE)

gameday: fetch ## plant a fault for each alert, follow its runbook word for word, and note how long that takes
	$(GO) test -count=1 -parallel 3 -timeout 2h -v $(GAMEDAY) ./internal/test/gameday -args -gameday

spark: fetch ## read and compact tables with Apache Spark, which takes 573 MB in .cache/
	$(GO) test -run 'Spark|Pipeline' -count=1 -v ./internal/test/lake -args -spark

mutants: ## plant single faults in the code that keeps the promise, and run the test that notices each
	$(GO) run ./internal/test/mutants $(MUTANTS)

hostile: ## search for the most expensive record, on an otherwise idle machine, HOSTILE='-hostile.seed 7'
	$(GO) test -count=1 ./internal/test/hostile -args -hostile.cpu -hostile.steps 60 $(HOSTILE)

fuzz: ## run all fuzz targets, each for 10 seconds
	$(GO) run ./internal/test/fuzz $(FUZZ)

fetch: ## fetch emulators and readers for the tests
	$(TOOL) ./internal/test/emulator/fetch

lint: ## check format, vet, staticcheck, and vet of the programs for macOS and Windows
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -d $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags table ./cmd/demo
	$(GO) tool staticcheck ./...
	$(GO) tool staticcheck -tags table ./cmd/demo
	CGO_ENABLED=0 GOOS=darwin $(GO) vet ./cmd/...
	CGO_ENABLED=0 GOOS=windows $(GO) vet ./cmd/...

vuln: ## check our calls for known vulnerabilities; prints a line and passes if the database is out of reach
	@out=$$($(GO) tool govulncheck ./... 2>&1) && echo "$$out" || { echo "$$out"; case "$$out" in \
	  *"fetching vulnerabilities"*) echo "LEFT OUT: govulncheck: the vulnerability database is out of reach" ;; *) exit 1 ;; esac; }

# arguments of make bench and make bench-scale: BENCH='-against v1.2.3', BENCH='-without flink,spark -rounds 1'
BENCH ?=

bench: ## measure from the stream to the bucket, beside other products, and each part, into docs/benchmarks.md and -details.md
	$(GO) run ./internal/test/bench -docs $(BENCH)

bench-parts: ## run the benchmarks of all packages
	$(GO) test -run '^$$' -bench . -benchmem ./record/... ./consumer/source ./writers/... ./consumer/batch ./producer ./internal/localstream \
	  ./internal/lambdas ./cmd/write-to-s3 ./cmd/send-to-firehose ./loader/rows ./loader/postgres

bench-check: ## fail if the daemon has lost its lead, allocates more or holds more
	$(GO) run ./internal/test/bench -check
	$(GO) test -count=1 -run 'CostsMuchLess' ./consumer/source
	$(GO) test -count=1 -run 'Outage' ./internal/test/bench -args -timed
	$(GO) test -run '^$$' -bench 'Load_VersusCopy' -benchtime 3x ./loader/postgres

bench-scale: ## measure shards, cores, memory over time, and catching up after a stop, into docs/benchmarks-details.md
	$(GO) run ./internal/test/bench -scale -docs $(BENCH)

cost: ## update docs/cost.md from a measurement and the prices in cmd/cost
	$(GO) run ./internal/test/bench -cost cmd/cost/measured.json
	$(GO) run ./cmd/generate

# MkDocs with its theme, from PyPI
MKDOCS ?= $(CACHE)/site/bin/mkdocs

site: ## the website of the Markdown files in dist/site/, with every link checked
	@test -x $(MKDOCS) || { python3 -m venv $(CACHE)/site && $(CACHE)/site/bin/pip install --quiet --requirement docs/site/requirements.txt; }
	NO_MKDOCS_2_WARNING=1 $(MKDOCS) build --strict

release: ## archives, packages and SHA256SUMS in dist/, VERSION=1.2.3; with GNU tar
	.github/release "$(VERSION)"

yours: ## put the name of your repository in, REPOSITORY=acme/trips: docs/make-it-yours.md
	.github/make-it-yours "$(REPOSITORY)"

clean: ## remove everything that was built and fetched
	rm -rf bin dist $(CACHE) demo-output
