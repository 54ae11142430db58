# ZanKV's house keeping. `make help` lists what there is; `make run` is all that a newcomer needs.

SHELL := /bin/bash
.DEFAULT_GOAL := build

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION)
FUZZTIME ?= 10s

# A release build of RocksDB in the cache is linked statically; else the installed library serves. The macro is how a binary
# knows which one it has.
ROCKSDB := $(shell deployments/rocksdb/build.sh --where 2>/dev/null)
ifneq ($(ROCKSDB),)
export CGO_CFLAGS := -O2 -g -I$(ROCKSDB)/include -DNDEBUG -DZANKV_ROCKSDB_RELEASE
export CGO_CXXFLAGS := $(CGO_CFLAGS)
export CGO_LDFLAGS := -O2 -g -L$(ROCKSDB)/lib
endif

# Not every source comes with its repository.
export GOFLAGS := $(filter-out -buildvcs=%,$(GOFLAGS)) -buildvcs=false

.PHONY: help run build test test-race check fuzz bench proto rocksdb kafka deps deps-test clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 12

run: deps ## install what is missing, build, start a cluster on this machine
	@$(MAKE) --no-print-directory build
	bin/zankv local

build: ## build every command into bin/
	@mkdir -p bin
	@set -o pipefail; commands=$$(go list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./cli/... | sed '/\/internal\//d') || exit 1; \
	if [ -z "$$commands" ]; then echo "no commands under cli/" >&2; exit 1; fi; \
	go build -ldflags '$(LDFLAGS)' -o bin/ $$commands

test: deps deps-test ## run all tests
	go test ./...

test-race: ## run all tests with the race detector; a skipped test fails
	@set -o pipefail; go test -race -timeout 20m -json ./... | go run ./cli/internal/verdict

check: deps deps-test ## formatting, vet, staticcheck, import rules, generated code
	@.ci/check

fuzz: deps ## run every fuzz target for a moment (FUZZTIME=10s)
	@.ci/fuzz $(FUZZTIME)

bench: deps deps-test rocksdb ## measure against redis-server and etcd, with the release build of RocksDB (BENCHFLAGS=--quick)
	@.ci/bench $(BENCHFLAGS)

proto: deps deps-test ## generate code from the .proto files anew
	go generate ./...

rocksdb: ## build RocksDB in release mode into the cache, once (about 8 minutes on two cores)
	@deployments/deps.sh build rocksdb
	@deployments/rocksdb/build.sh

kafka: ## run a Kafka broker on 127.0.0.1:9092, data under data/kafka, until Ctrl-C
	@deployments/deps.sh kafka
	@deployments/kafka/install.sh
	@deployments/kafka/broker.sh

deps: ## install what building needs, if it is missing
	@deployments/deps.sh build

deps-test: ## install what testing needs, if it is missing
	@deployments/deps.sh build test
	@deployments/clients/install.sh
	@deployments/kafka/install.sh

clean: ## remove bin/ and the local cluster's data
	rm -rf bin data
