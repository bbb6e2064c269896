#!/usr/bin/env bash
# Runs the arm64 package's program under qemu on this machine: it enrols the demo's things, recognises the demo's clip and
# publishes to a Mosquitto, and is held to the demo's own bounds. Needs qemu-user-static, mosquitto, the package (make
# deb-arm64) and what the demo has made (make demo).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

skip() {
  printf 'skipped qemu_test: %s\n' "$*"
  exit 0
}
die() {
  printf 'qemu_test: %s\n' "$*" >&2
  exit 1
}
command -v qemu-aarch64-static >/dev/null || skip "qemu-aarch64-static is missing (Debian: apt-get install qemu-user-static)"
command -v mosquitto >/dev/null || skip "mosquitto is missing"
for deb in dist/xbm-agent_*_arm64.deb; do :; done
[[ -f $deb ]] || skip "no package for arm64 in dist/ (make deb-arm64)"
[[ -f demo/out/things.gallery ]] || skip "no model and gallery in demo/out (make demo)"

out=build/qemu
rm -rf "$out"
mkdir -p "$out"
dpkg-deb -x "$deb" "$out/root"
sysroot=build/sysroot-arm64
[[ $deb != *+deb13_* ]] || sysroot+=-debian13
agent=(qemu-aarch64-static -L "$sysroot" "$out/root/usr/bin/xbm-agent")
"${agent[@]}" version --json | tee "$out/version.json"
grep -q '"platform":"linux/arm64","tflite":"2' "$out/version.json" || die "a part is missing"
qemu-aarch64-static -L "$sysroot" "$out/root/usr/lib/xbm-agent/xbm-capture" --version | grep '^gocv.*OpenCV' || die "OpenCV is missing"

cp demo/out/{fit,eval,convert}.json "$out/"
"${agent[@]}" enroll --model demo/out/model.tflite --gallery "$out/things.gallery" --dir demo/out/enrol --json >"$out/enroll.json"

pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
for port in {18850..18869}; do # the first that is free
  mosquitto -p "$port" >"$out/mosquitto.log" 2>&1 &
  pids=($!)
  sleep 0.5
  if kill -0 "${pids[0]}" 2>/dev/null; then break; fi
done
bin/xbm-agent listen --broker "tcp://127.0.0.1:$port" --topic 'xbm/demo/#' --count-file "$out/listen.json" --ready-file "$out/ready" \
  --exit-after-offline 2>"$out/listen.log" &
listener=$!
pids+=("$listener")
for ((i = 0; i < 100; i++)); do
  [[ -s $out/ready ]] && break
  sleep 0.1
done
started=$(date +%s)
"${agent[@]}" run --config configs/demo.yaml --set "mqtt.broker=tcp://127.0.0.1:$port" --set "gallery.path=$out/things.gallery" \
  --set "state_dir=$out/state" --results "$out/results.jsonl" --summary "$out/agent.json" 2>"$out/agent.log" || {
  tail -n 20 "$out/agent.log" >&2
  die "the agent failed"
}
wait "$listener" || die "the subscriber failed: see $out/listen.log"
bin/demoscore --clip demo/out/clip/clip.json --dir "$out" --data demo/out/data --bounds synthetic \
  --seconds $(($(date +%s) - started)) --out "$out/summary.json"
