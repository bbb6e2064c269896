# make            build the programs into bin/
# make demo       from drawn products to MQTT messages; DATA=, WEIGHTS= and BROKER= as scripts/demo.sh says
# make test       every test; what is missing on a machine is said and skipped
# make arm64      bin/arm64/xbm-agent, built here for a 64-bit ARM board
# make packages   everything that is shipped, in dist/; make deb-arm64 only the board's .deb
# make test-packages   install and remove the packages in a clean Debian
# make test-vm    the arm64 package as a service in an emulated machine; needs root, takes some ten minutes
# make chaos      the long tests: cameras that stall, freeze and are killed 400 times; events through 1,000 kills, power
#                 cuts, 300 network faults and 200 kills of the broker; a million events and flipped bits. Some ten minutes
# make soak       the agent at full rate for an hour (SOAK=seconds) on Mosquitto: memory, goroutines and open files stay
# make test-ha    the agent beside a real Home Assistant; needs root and ../shared, takes some minutes
# make bench      the benchmarks of BENCHMARKS.md; make bench-train those of the trainer, DATA= and WEIGHTS= as
#                 scripts/bench_train.sh says; make bench-convert those of the converter, DATA= and RUNS= as
#                 scripts/bench_convert.sh says; make bench-outbox the outbox beside other stores; make bench-agent
#                 recognition at the edge, MODEL=, DATA= and PEER= as scripts/bench_agent.sh says
# make asyncapi   docs/asyncapi.json from the topics and schemas of agent/internal/mqtt
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: all setup build demo test chaos soak bench bench-train bench-convert bench-outbox bench-agent lint clean asyncapi \
	arm64 packages deb-arm64 test-packages test-vm test-ha

env = . scripts/env.sh &&
programs = bin/xbm-train=./training bin/xbm-convert=./convert bin/xbm-agent=./agent bin/xbm-capture=./agent/xbm-capture \
	bin/xbm-stream=./agent/xbm-stream bin/demobroker=./scripts/demobroker bin/demoscore=./scripts/demoscore

all: build

setup:
	@scripts/setup.sh

build: setup
	@$(env) for p in $(programs); do echo "go build $${p#*=}"; go build -o "$${p%%=*}" "$${p#*=}" || exit 1; done

demo: build
	@DATA='$(DATA)' WEIGHTS='$(WEIGHTS)' BROKER='$(BROKER)' scripts/demo.sh

test: setup
	@scripts/test.sh

chaos: setup
	@$(env) XBM_CHAOS=1 go test -count=1 -timeout 60m -v -run 'Chaos|Prefix|Flipped|PowerCut|ManyEvents|Kills|NetworkFaults' \
		./agent/internal/capture ./agent/internal/outbox ./agent/internal/mqtt

soak: setup
	@$(env) XBM_SOAK=$(or $(SOAK),3600) go test -count=1 -timeout 0 -v -run '^TestSoak$$' ./agent/internal/command

asyncapi:
	@$(env) go test -count=1 -run TestAsyncAPI ./agent/internal/mqtt -update

arm64:
	@scripts/cross.sh arm64

packages deb-arm64:
	@scripts/package.sh $(if $(filter packages,$@),all,arm64 deb)

test-packages: packages
	@scripts/packaging/package_test.sh

test-vm: demo deb-arm64
	@scripts/setup.sh vm && scripts/guest/vm.sh

test-ha: build
	@scripts/test_ha.sh

bench: setup
	@$(env) go test -run '^$$' -bench . ./...

bench-train: setup
	@DATA='$(DATA)' WEIGHTS='$(WEIGHTS)' PML='$(PML)' ONLY='$(ONLY)' scripts/bench_train.sh

bench-convert: setup
	@DATA='$(DATA)' RUN='$(RUN)' RUNS='$(RUNS)' TENSORFLOW='$(TENSORFLOW)' SAMPLES='$(SAMPLES)' ONLY='$(ONLY)' scripts/bench_convert.sh

bench-agent: setup
	@MODEL='$(MODEL)' DATA='$(DATA)' PEER='$(PEER)' ONLY='$(ONLY)' SECONDS_EACH='$(SECONDS_EACH)' scripts/bench_agent.sh

bench-outbox: setup
	@$(env) go test -run '^$$' -bench 'Head|Append|Open' ./agent/internal/outbox
	@$(env) go test -run '^$$' -bench Events100 -benchtime 3000x ./agent/internal/mqtt
	@$(env) go test -run '^$$' -bench Events2000 -benchtime 40000x ./agent/internal/mqtt
	@cd scripts/bench_outbox && go run .

lint:
	@$(env) go vet ./... && gofmt -l . && golangci-lint run
	@shellcheck -x scripts/*.sh scripts/packaging/*.sh scripts/packaging/agent/* scripts/guest/*.sh .ci/run

clean:
	rm -rf bin dist demo/out
