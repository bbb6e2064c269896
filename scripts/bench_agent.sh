#!/usr/bin/env bash
# The figures of BENCHMARKS.md on recognition at the edge, on the machine at hand. What it has no parts for is left out
# with a word.
#
#   MODEL=FILE    int8 embedding model; for the open set one that was trained on the groceries (configs/train-mobile.yaml)
#   DATA=DIR      photos in DIR/train/<class>/ and DIR/test/<class>/: what is enrolled, and the clip before the camera
#   PEER=PYTHON   a Python with opencv-python-headless, ai-edge-litert, numpy and paho-mqtt: the same work in Python, from the
#                 same camera, in the same run
#   ONLY=…        one of: stages search open teach memory fps model
#   SECONDS_EACH=N  how long each of the two runs with a camera (default 20)
#
# Needs jq, and python3 for the camera.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

command -v jq >/dev/null || { echo "install jq" >&2 && exit 1; }
out=build/bench-agent
each=${SECONDS_EACH:-20}
mkdir -p $out
pids=()
finish() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; }
trap finish EXIT

say() { printf '\n== %s\n' "$*"; }
wanted() { [[ -z ${ONLY:-} || $ONLY == "$1" ]]; }
has() { # has NAME: a setting is there, or a word says what is left out
  [[ -n ${!1:-} ]] || { echo "left out: give $1=" && return 1; }
}
# benches PATTERN PACKAGE prints what benchmarks say of time and allocations.
benches() { go test -run '^$' -bench "$1" -benchmem "$2" | grep ^Benchmark; }

say "building"
for part in xbm-agent=./agent xbm-capture=./agent/xbm-capture xbm-stream=./agent/xbm-stream xbm-train=./training demobroker=./scripts/demobroker; do
  go build -o "$out/${part%%=*}" "${part#*=}"
done

if wanted stages; then
  say "preprocessing (at most 1.0 ms at 640×480), one core"
  GOMAXPROCS=1 benches 'Resize/640x480|Input/int8' ./internal/vision
  say "stages; from picture to decision beyond the model itself at most 2 ms"
  ! has MODEL || $out/xbm-agent bench --model "$MODEL" --size 640x480 2>/dev/null
  say "allocations per frame, want 0"
  go test -count=1 -v -run 'Allocat|AllocatesNothing' ./agent/internal/pipeline ./internal/vision ./internal/retrieval ./internal/gallery ./internal/embed |
    grep -E '^(---|ok|FAIL)' || true
fi
if wanted search; then
  say "search: 10,000 × 128 in at most 0.3 ms, 100,000 in at most 3 ms, one core"
  GOMAXPROCS=1 benches Nearest ./internal/retrieval
fi
if wanted open; then
  say "open set: groceries, every third class not enrolled"
  ! has MODEL || XBM_REACH_MODEL=$(realpath "$MODEL") go test -count=1 -v -run OpenSet ./internal/gallery | grep -vE '^(=== |ok|PASS)'
fi
if wanted teach; then
  say "from the answer to an enrolment to the first match, at most 1 s"
  go test -count=1 -v -run TestTeachARunningAgent ./agent/internal/command | grep -E 'recognised|^---'
fi

# await FILE waits until a program started in the background has made it.
await() {
  local i
  for ((i = 0; i < 100; i++)); do
    [[ ! -s $1 ]] || return 0
    sleep 0.1
  done
  echo "$1 did not appear" >&2
  return 1
}
# serve FPS starts a camera that shows the photos, and sets url.
serve() {
  rm -f $out/camera-port
  python3 scripts/bench_agent/camera.py $out/clip.mjpeg "$1" $out/camera-port &
  camera=$!
  pids+=("$camera")
  await $out/camera-port
  url=http://127.0.0.1:$(<$out/camera-port)/
}
# memory PID adds up the memory of a process and its children: "rss pss", in MB of a million bytes.
memory() {
  local pid
  for pid in "$1" $(pgrep -P "$1"); do cat "/proc/$pid/smaps_rollup"; done |
    awk '/^Rss:/ { rss += $2 } /^Pss:/ { pss += $2 } END { printf "%.1f %.1f\n", 1.024 * rss / 1000, 1.024 * pss / 1000 }'
}
# ours runs xbm-agent on $url for a while and prints a row.
ours() {
  $out/xbm-agent run --set "model.path=$MODEL" --set gallery.path=$out/things.gallery --set state_dir=$out/state --set node=bench \
    --set "mqtt.broker=tcp://127.0.0.1:$(<$out/broker-port)" --set cameras.cam.kind=http --set "cameras.cam.address=$url" \
    --set cameras.cam.fps=0 --set motion.gate=false --set log.level=warn --control none --summary $out/ours.json 2>$out/ours.log &
  local agent=$!
  pids+=("$agent")
  sleep "$each"
  local rss pss children
  read -r rss pss < <(memory "$agent")
  children=$(for pid in $(pgrep -P "$agent"); do printf 'of it %s %s MB, ' "$(cat "/proc/$pid/comm")" "$(awk '/^Rss:/ { printf "%.1f", 1.024 * $2 / 1000 }' "/proc/$pid/smaps_rollup")"; done)
  kill -INT "$agent"
  wait "$agent" || { tail -3 $out/ours.log >&2 && return 1; }
  jq -r --arg rss "$rss" --arg pss "$pss" --arg children "${children%, }" \
    '"| xbm-agent | \(.frames / .seconds * 10 | round / 10) | \($rss) | \($pss) | \($children) |"' $out/ours.json
}
theirs() {
  "$PEER" scripts/bench_agent/peer.py "$url" "$MODEL" "$each" "$(<$out/broker-port)" "$enrolled" >$out/theirs.json 2>$out/theirs.log ||
    { tail -3 $out/theirs.log >&2 && return 1; }
  jq -r '"| Python | \(.fps) | \(.rss_mb) | \(.pss_mb) | model \(.model_p50_ms) ms, frame \(.frame_p50_ms) ms |"' $out/theirs.json
}
# pair FPS prints a table of both on a camera of that rate.
pair() {
  serve "$1"
  echo "| | frames/s | RSS MB, with children | PSS MB | |"
  echo "|---|---|---|---|---|"
  ours
  [[ -z ${PEER:-} ]] || theirs
  kill "$camera"
}
if (wanted memory || wanted fps) && has MODEL && has DATA; then
  MODEL=$(realpath "$MODEL")
  rm -rf $out/clip $out/state $out/broker-port
  $out/xbm-train clip --data "$DATA/test" --out $out/clip >/dev/null
  mv $out/clip/clip.mjpeg $out/clip.mjpeg
  [[ -s $out/things.gallery && $out/things.gallery -nt $MODEL ]] ||
    $out/xbm-agent enroll --control none --model "$MODEL" --gallery $out/things.gallery --dir "$DATA/train" >/dev/null 2>$out/enroll.log
  enrolled=$($out/xbm-agent gallery stats --gallery $out/things.gallery | jq .embeddings)
  $out/demobroker --listen 127.0.0.1:0 --port-file $out/broker-port 2>$out/broker.log &
  pids+=($!)
  await $out/broker-port
  if wanted memory; then
    say "one camera at 15 frames/s, $enrolled embeddings; RSS at most 80 MB"
    pair 15
  fi
  if wanted fps; then
    say "as many frames as there are"
    pair 0
  fi
  [[ -n ${PEER:-} ]] || echo "left out: the same in Python; give PEER="
fi
