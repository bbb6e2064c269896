#!/usr/bin/env bash
# The whole way from photos to MQTT messages: make or take photos, train, convert, enrol, recognise a clip, and count
# what a subscriber receives. Results are in demo/out; the exit code is not 0 when a message is lost or accuracy is low.
#
#   DATA=DIR WEIGHTS=FILE   photos in DIR/train/<class>/ and DIR/test/<class>/ with pretrained weights, instead of
#                           drawn products and a small network
#   BROKER=host:port        a broker of yours, instead of one started for the demo
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=demo/out
data=${DATA:-$out/data}
pids=()
started=$(date +%s)

say() { printf '\n== %s\n' "$*"; }
die() {
  printf 'demo: %s\n' "$*" >&2
  exit 1
}
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
}
trap finish EXIT

# wait_for FILE waits until a program started in the background has made it.
wait_for() {
  local i
  for ((i = 0; i < 200; i++)); do
    [[ -s $1 ]] && return
    sleep 0.1
  done
  die "$1 did not appear: see $out/*.log"
}

start_broker() {
  if [[ -n ${BROKER:-} ]]; then
    broker=tcp://$BROKER
    return
  fi
  bin/demobroker --listen 127.0.0.1:0 --port-file $out/port 2>$out/broker.log &
  pids+=($!)
  wait_for $out/port
  broker=tcp://127.0.0.1:$(<$out/port)
}

# enrolled_folders links the photos of the classes that the clip shows as enrolled.
enrolled_folders() {
  local class
  mkdir -p $out/enrol
  while read -r class; do
    ln -s "$(realpath "$data/train/$class")" "$out/enrol/$class"
  done < <(bin/demoscore --clip $out/clip/clip.json --enrolled)
}

[[ -z ${DATA:-} || -n ${WEIGHTS:-} ]] || die "DATA needs WEIGHTS=FILE, the pretrained weights (safetensors) to start from"
[[ -d $data || -z ${DATA:-} ]] || die "DATA=$DATA is no folder"
rm -rf $out
mkdir -p $out/clip

if [[ -z ${DATA:-} ]]; then
  say "drawing products"
  bin/xbm-train synth --out "$data"
  mv "$data/clip.mjpeg" "$data/clip.json" $out/clip/
  fit=(--config configs/train-demo.yaml)
else
  say "filming photos"
  bin/xbm-train clip --data "$data/test" --out $out/clip
  fit=(--config configs/train-mobile.yaml --weights "$WEIGHTS")
fi

say "training"
bin/xbm-train fit --data "$data" --out $out/run --json $out/fit.json "${fit[@]}"
bin/xbm-train eval --run $out/run --data "$data" --json $out/eval.json

say "converting"
bin/xbm-convert quantize --run $out/run --calib "$data/train" --test "$data/test" --out $out/model.tflite \
  --json $out/convert.json

say "enrolling"
enrolled_folders
bin/xbm-agent enroll --model $out/model.tflite --gallery $out/things.gallery --dir $out/enrol --json >$out/enroll.json

say "recognising"
start_broker
bin/xbm-agent listen --broker "$broker" --topic 'xbm/demo/#' --count-file $out/listen.json --ready-file $out/ready \
  --exit-after-offline 2>$out/listen.log &
listener=$!
pids+=("$listener")
wait_for $out/ready
bin/xbm-agent run --config configs/demo.yaml --set "mqtt.broker=$broker" --results $out/results.jsonl \
  --summary $out/agent.json 2>$out/agent.log || {
  cat $out/agent.log >&2
  die "the agent failed"
}
for ((i = 0; i < 100; i++)); do # the listener ends when it has heard that the agent went offline
  kill -0 "$listener" 2>/dev/null || break
  sleep 0.1
done
kill "$listener" 2>/dev/null || true
wait "$listener" || true
[[ -s $out/listen.json ]] || die "the subscriber did not finish: see $out/listen.log"

say "summary"
bounds=synthetic
[[ -z ${DATA:-} ]] || bounds=photos
bin/demoscore --clip $out/clip/clip.json --dir $out --data "$data" --bounds $bounds \
  --seconds $(($(date +%s) - started)) --out $out/summary.json
