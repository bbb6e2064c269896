#!/usr/bin/env bash
# Every test. What a machine lacks (shared photos, a camera, root) is skipped, and the reason printed.
#
#   scripts/test.sh         all: Go tests with the race detector, builds without C, scripts, the demo on Mosquitto, the
#                           packages, the service in a booted Debian, the arm64 program emulated
#   scripts/test.sh quick   the Go tests alone, without the race detector
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

say() { printf '\n== %s\n' "$*"; }

if [[ ${1:-} == quick ]]; then
  exec go test ./...
fi

say "test bench"
scripts/testbench.sh || echo "testbench: not there; tests that need it are skipped"
scripts/setup.sh bench </dev/null >build/bench.log 2>&1 || echo "bench: not all there (build/bench.log); tests that need it are skipped"

if scripts/setup.sh xla </dev/null >build/xla.log 2>&1; then
  . scripts/env.sh # which now builds the trainer with XLA
else
  echo "xla: not there (build/xla.log); tests that need it are skipped"
fi

say "go vet"
go vet ./...

say "without C: every package builds, and its tests pass"
CGO_ENABLED=0 GOFLAGS='' go vet ./...
CGO_ENABLED=0 GOFLAGS='' go test -short ./agent/... ./camera/... ./convert/... ./internal/tflite/... ./internal/embed/...

say "go test -race"
# checkptr, which -race switches on, stops at the engine's pointers one past the end of a slice; it stays on for us.
go test -race -gcflags='github.com/gomlx/compute/...=-d=checkptr=0' -short ./...

say "go test"
go test -v ./... >build/test.log || {
  grep -E '^(\s*--- FAIL|FAIL|panic:)|_test.go:[0-9]+:' build/test.log | tail -60
  echo "the whole output is in build/test.log"
  exit 1
}
grep -E '^(ok|FAIL)' build/test.log
awk '/\.go:[0-9]+: / { reason = $0; sub(/^.*\.go:[0-9]+: /, "", reason) } /--- SKIP/ { print "skipped " $3 ": " reason }' build/test.log

if command -v shellcheck >/dev/null; then
  say "shellcheck"
  shellcheck -x scripts/*.sh scripts/packaging/*.sh scripts/packaging/agent/* scripts/guest/*.sh .ci/run
fi

say "the installer, on machines of all kinds"
scripts/packaging/install_test.sh

say "the agent for armhf, up to its link"
scripts/cross_test.sh

say "the demo, on Mosquitto"
make --no-print-directory build
trap 'kill "$broker"' EXIT
for port in {18830..18849}; do # the first that is free
  mosquitto -p "$port" >build/mosquitto.log 2>&1 &
  broker=$!
  sleep 0.5
  if kill -0 "$broker" 2>/dev/null; then break; fi
done
make --no-print-directory demo BROKER="127.0.0.1:$port"

say "the packages"
if scripts/setup.sh cross arm64 </dev/null >build/cross.log 2>&1; then
  make --no-print-directory packages
  if command -v lintian >/dev/null; then lintian --fail-on error dist/*.deb; fi
  scripts/packaging/package_test.sh
  say "the service, in a booted Debian"
  scripts/guest/nspawn.sh
  say "the agent for arm64, emulated"
  scripts/qemu_test.sh
else
  echo "skipped the packages, the service and arm64: the cross-compiler is missing (build/cross.log)"
fi
