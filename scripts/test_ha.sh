#!/usr/bin/env bash
# The agent beside a real Home Assistant: a Mosquitto, an agent that looks at pictures put into a folder, and Home
# Assistant from ../shared/tools. Every entity has to be there with its state, attributes and picture, also after each of
# the three was started anew; things that come and go bring and take their sensors; and Home Assistant's log must not
# complain of us. Takes some minutes, and needs root. What happened is in build/test_ha.
#
#   scripts/test_ha.sh         all
#   scripts/test_ha.sh hook    what run_ha.sh calls when Home Assistant is connected
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=$PWD/build/test_ha
shared=$PWD/../shared
photos=$shared/data/grocery/train
model=$shared/data/tflite/mobilenet_v1_quant_embedding_extractor.tflite
run_ha=$shared/tools/home-assistant/run_ha.sh

skip() {
  printf 'test_ha: skipped: %s\n' "$*"
  exit 0
}
die() {
  printf 'test_ha: FAIL: %s\n' "$*" >&2
  exit 1
}
say() { printf '== %s\n' "$*" >&2; }

# agent ARGS… is the program with this test's configuration.
agent() { bin/xbm-agent "$@" --config "$out/agent.yaml"; }

# photo CLASS N prints the path of a class's Nth photo.
photo() { find "$photos/$1" -name '*.jpg' | sort | sed -n "$2p"; }

start_broker() {
  mosquitto -c "$out/mosquitto.conf" >>"$out/mosquitto.log" 2>&1 &
  echo $! >"$out/mosquitto.pid"
  for _ in {1..50}; do
    if mosquitto_pub -p "$MQTT_PORT" -t ping -n 2>/dev/null; then return; fi
    sleep 0.1
  done
  die "no broker: see $out/mosquitto.log"
}

start_agent() {
  bin/xbm-agent run --config "$out/agent.yaml" --control "$out/control.sock" "$@" >>"$out/agent.log" 2>&1 &
  echo $! >"$out/agent.pid"
}

# end NAME SIGNAL ends what start_… has started, and waits for it.
end() {
  local pid
  pid=$(<"$out/$1.pid")
  kill "-$2" "$pid" 2>/dev/null || true
  for _ in {1..150}; do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
}

# feed shows the camera the photo that build/test_ha/shown names, again and again.
feed() {
  local n=0
  while [[ -d $out/pictures ]]; do
    if [[ -s $out/shown ]]; then
      n=$((n + 1))
      cp "$(<"$out/shown")" "$out/pictures/.$n" && mv "$out/pictures/.$n" "$out/pictures/$n.jpg"
      rm -f "$out/pictures/$((n - 20)).jpg"
    fi
    sleep 0.4
  done
}
show() { printf '%s' "$*" >"$out/shown"; }

main() {
  [[ -f $run_ha && -d $photos && -f $model ]] || skip "there is no ../shared/tools/home-assistant, or no photos in ../shared/data"
  [[ $EUID == 0 ]] || skip "Home Assistant runs in a chroot, which needs root"
  local program
  for program in mosquitto mosquitto_sub jq curl mmdebstrap; do
    command -v "$program" >/dev/null || skip "there is no $program on this machine"
  done
  bash "$run_ha" setup 2>"$out.setup.log" || skip "Home Assistant cannot be set up here: see $out.setup.log"
  rm -rf "$out"
  mkdir -p "$out/pictures" "$out/broker"
  chmod 777 "$out/broker"
  MQTT_PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  export MQTT_PORT
  sed -e "s|^listener .*|listener $MQTT_PORT 127.0.0.1|" -e "s|^persistence_location .*|persistence_location $out/broker/|" \
    configs/mosquitto.conf >"$out/mosquitto.conf"
  cat >"$out/agent.yaml" <<CONFIG
node: Ha-test
state_dir: $out/state
model: {path: $model}
gallery: {path: $out/things.gallery}
mqtt: {broker: "tcp://127.0.0.1:$MQTT_PORT"}
motion: {gate: false}
cameras:
  top_shelf: {kind: dir, address: $out/pictures, watch: true}
  attic: {kind: dir, address: $out/pictures, watch: true, enabled: false}
CONFIG
  enroll Alice Carrots
  enroll "Crème \"brûlée\" {{ 'x' }}" Banana
  trap 'rm -rf "$out/pictures"; end hass TERM; end agent TERM; end mosquitto TERM' EXIT
  : >"$out/hass.pid" && echo 999999999 >"$out/hass.pid"
  start_broker
  start_agent
  feed &
  bash "$run_ha" "$MQTT_PORT" --hook "$PWD/scripts/test_ha.sh hook" --settle 0 >"$out/end.json" 2>"$out/ha.log" || {
    cat "$out/ha.log" >&2
    die "see above, and $out"
  }
  cat "$out/ha.log"
  if grep -E ' (WARNING|ERROR) ' "$out/ha.log" | grep -iE 'mqtt|xbm|ha_test|deprecat|template' | grep -vE "$(broker_away)"; then
    die "Home Assistant complains of us"
  fi
  echo "test_ha: ok"
}

# broker_away matches what Home Assistant says when this test takes the broker away.
broker_away() { echo 'Disconnected from MQTT server|Failed to connect to MQTT server|Error returned from MQTT server'; }

# enroll NAME CLASS teaches what three photos show.
enroll() {
  bin/xbm-agent enroll --model "$model" --gallery "$out/things.gallery" --control "$out/control.sock" "$1" \
    "$(photo "$2" 1)" "$(photo "$2" 2)" "$(photo "$2" 3)" >>"$out/enroll.log" 2>&1 || die "enroll $1: see $out/enroll.log"
}

# shellcheck source=scripts/test_ha_checks.sh
. scripts/test_ha_checks.sh
case ${1:-} in
"") main ;;
hook) checks ;;
*) die "want hook or nothing" ;;
esac
