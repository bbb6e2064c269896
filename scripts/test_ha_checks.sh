# shellcheck shell=bash
# Sourced by scripts/test_ha.sh: what has to be true in Home Assistant, step by step. run_ha.sh sets HA_URL and HA_TOKEN.
# shellcheck disable=SC2016,SC2154 # jq has variables of its own; out is of test_ha.sh

ha_base() { echo "${HA_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/xbm-home-assistant}/chroot-${HA_SUITE:-trixie}"; }

# become_ha PROGRAM ARGS… makes this shell one of Home Assistant's own programs, where Home Assistant runs.
become_ha() {
  local base venv program=$1
  shift
  base=$(ha_base)
  venv=$(cd "$base" && echo ha-20*)
  exec env -i HOME=/root-home PATH="/$venv/bin:/usr/bin:/bin:/usr/sbin:/sbin" LANG=C.UTF-8 PYTHONUNBUFFERED=1 chroot "$base" "/$venv/bin/$program" "$@"
}

in_ha() { (become_ha "$@"); }

# dump prints all that Home Assistant has.
dump() { in_ha python /runs/drive.py dump "$HA_URL" "$HA_TOKEN"; }

# expect WHAT FILTER waits until jq finds it true of the dump. entity(id), by unique id below xbm/Ha-test/, and the
# variables WHO, PICTURE… of the caller are there.
expect() {
  local what=$1 filter=$2 i
  shift 2
  for ((i = 0; i < 25; i++)); do
    dump >"$out/dump.json" 2>"$out/dump.err" || { sleep 1 && continue; }
    if jq "$@" 'def entity(id): .entities[] | select(.unique_id == "xbm/Ha-test/" + id);
      def entities: [.entities[] | select(.platform == "mqtt")]; '"$filter" "$out/dump.json" >"$out/found" 2>&1 && [[ $(<"$out/found") == true ]]; then
      say "ok: $what"
      return
    fi
    sleep 1
  done
  cp "$out/dump.json" "$out/failed.json"
  die "$what: $filter is $(head -c 600 "$out/found"); see $out/failed.json"
}

# retained TOPIC prints the bytes that the broker keeps.
retained() { mosquitto_sub -p "$MQTT_PORT" -t "xbm/Ha-test/$1" -C 1 -W 3 -N 2>/dev/null; }

# announced prints the unique ids of the entities that the agent says it announces, as JSON.
announced() {
  agent ha print | jq -s '[.[].payload.cmps[] | select(.p != "device_automation") | .unique_id] | sort'
}

all_there() { expect "$1: every entity that is announced, and no other" '[entities[].unique_id] | sort == $want' --argjson want "$(announced)"; }

available() {
  expect "$1: all are available, but for those of the camera that is off" \
    '[entities[] | select(.state == "unavailable") | .unique_id | startswith("xbm/Ha-test/attic/")] == [true, true, true, true]'
}

alice_in_view() {
  show "$(photo Carrots 1)"
  expect "$1: Alice is in view" '(entity("top_shelf/who") | .state == "Alice" and .attributes.present == ["alice"] and .attributes.count == 1) and
    (entity("top_shelf/recognition") | .attributes.event_type == "recognized" and .attributes.identity.id == "alice" and .attributes.score > 0.5) and
    (entity("identity/alice") | (.state | startswith("20")) and .attributes.camera == "top_shelf" and .attributes.device_class == "timestamp") and
    (entity("top_shelf/unknown").state == "off") and (entity("connected").state == "on")'
}

checks() {
  all_there "at the start"
  expect "three devices, two reached through the node" '(.devices | length == 3) and
    ([.devices[] | select(.via_device_id != null) | .name] | sort == ["Ha-test attic", "Ha-test top shelf"]) and
    ([.devices[] | .manufacturer == "xbmedge" and (.sw_version | length > 0)] | all)'
  expect "the ids of entities are those proposed" '(entity("top_shelf/who").entity_id == "sensor.ha_test_top_shelf_who") and
    (entity("identity/alice").entity_id == "sensor.ha_test_alice_last_seen")'
  show "$(photo Carrots 1)" # the camera is on when it has pictures
  available "at the start"
  alice_in_view "at the start"
  sleep 3 # no more pictures with another score
  show ""
  sleep 2
  pictures
  stats
  show "$(photo Leek 1)"
  expect "something unknown is in view" '(entity("top_shelf/unknown").state == "on") and (entity("top_shelf/who").state == "nothing") and
    (entity("top_shelf/recognition").attributes.identity.id | startswith("unknown")) and (entity("identity/unknown").state | startswith("20")) and
    (entity("picture_unknown").image | .status == 200 and .bytes > 1000)'
  triggers
  features
  things
  broker_anew
  home_assistant_anew
  agent_anew
  switched_off
}

pictures() {
  local camera alice
  camera=$(retained top_shelf/snapshot | sha256sum | cut -d' ' -f1)
  alice=$(retained identity/alice/snapshot | sha256sum | cut -d' ' -f1)
  [[ $camera == "$alice" ]] || die "the camera's latest picture is not Alice's"
  expect "the picture of the latest match" 'entity("top_shelf/picture").image | .status == 200 and .type == "image/jpeg" and .sha256 == $sum' \
    --arg sum "$camera"
}

stats() {
  expect "readings" '([entity("fps", "infer_p95", "queue", "gallery").state | tonumber] | length == 4) and (entity("gallery").state == "2") and
    (entity("fps").attributes.unit_of_measurement == "fps") and (entity("model") | .state == "off" and (.attributes.installed_version | length > 6))'
}

# triggers asks for the device triggers as the automation editor does.
triggers() {
  in_ha python - "$HA_URL" "$HA_TOKEN" <<'PY' >"$out/triggers.json"
import asyncio, json, sys
import aiohttp

async def main(url, token):
    async with aiohttp.ClientSession() as s, s.ws_connect(url + "/api/websocket") as w:
        await w.receive_json()
        await w.send_json({"type": "auth", "access_token": token})
        await w.receive_json()
        async def ask(n, **what):
            await w.send_json({"id": n, **what})
            return (await w.receive_json())["result"]
        devices = await ask(1, type="config/device_registry/list")
        shelf = next(d["id"] for d in devices if d["name"] == "Ha-test top shelf")
        found = await ask(2, type="device_automation/trigger/list", device_id=shelf)
        print(json.dumps(sorted(t["subtype"] for t in found if t["domain"] == "mqtt")))

asyncio.run(main(*sys.argv[1:]))
PY
  [[ $(<"$out/triggers.json") == '["alice", "creme-brulee-x", "unknown"]' ]] || die "device triggers: $(<"$out/triggers.json")"
  say "ok: a device trigger for each thing and for what is unknown"
}

service() {
  curl -fsS -X POST -H "Authorization: Bearer $HA_TOKEN" -H 'Content-Type: application/json' -d "$2" "$HA_URL/api/services/$1" >/dev/null ||
    die "service $1 $2"
}

# features sets what can be set, as somebody in Home Assistant does.
features() {
  local camera=ha_test_top_shelf
  expect "what can be set" '(entity("top_shelf/set_recognition").state == "on") and (entity("top_shelf/set_threshold").state | tonumber > 0.3)'
  service switch/turn_off "{\"entity_id\": \"switch.${camera}_set_recognition\"}"
  expect "recognition is switched off" 'entity("top_shelf/set_recognition").state == "off"'
  expect "nothing is in view then" '(entity("top_shelf/unknown").state == "off") and (entity("top_shelf/who").state == "nothing")'
  [[ $(retained top_shelf/recognition/state) == OFF ]] || die "the agent does not say that recognition is off"
  service switch/turn_on "{\"entity_id\": \"switch.${camera}_set_recognition\"}"
  service number/set_value "{\"entity_id\": \"number.${camera}_set_threshold\", \"value\": 0.87}"
  expect "recognition is on, with another threshold" '(entity("top_shelf/set_recognition").state == "on") and
    (entity("top_shelf/set_threshold").state == "0.87") and (entity("top_shelf/unknown").state == "on")'
  service number/set_value "{\"entity_id\": \"number.${camera}_set_threshold\", \"value\": 0}"
  expect "the threshold is the gallery's again" 'entity("top_shelf/set_threshold").state | tonumber | . > 0.3 and . != 0.87'
}

things() {
  enroll "Bob's" Aubergine
  all_there "a thing was enrolled"
  show "$(photo Aubergine 1)"
  expect "it is recognised" '(entity("top_shelf/who").state == "Bob'"'"'s") and (entity("identity/bob-s").state | startswith("20"))'
  gallery rename bob-s "Robert 🥕"
  expect "renamed, it is the same entity" 'entity("identity/bob-s") | (.attributes.friendly_name | endswith("Robert 🥕 last seen"))'
  gallery remove bob-s
  all_there "it was removed"
  triggers
  [[ -z $(retained identity/bob-s/state || true) ]] || die "the broker keeps the state of what was removed"
}

gallery() { bin/xbm-agent gallery "$1" --gallery "$out/things.gallery" --control "$out/control.sock" "${@:2}" >>"$out/enroll.log" 2>&1 || die "gallery $*"; }

broker_anew() {
  end mosquitto KILL
  sleep 2
  start_broker
  available "the broker was killed and started again"
  alice_in_view "the broker was killed and started again"
  stats
}

home_assistant_anew() {
  local config
  config=$(cd "$(ha_base)/runs" && find . -maxdepth 1 -name '*-*' -printf '%T@ %f\n' | sort -n | tail -1 | cut -d' ' -f2)
  curl -fsS -X POST -H "Authorization: Bearer $HA_TOKEN" "$HA_URL/api/services/homeassistant/stop" >/dev/null || true
  for _ in {1..100}; do
    curl -fs "$HA_URL/api/" -H "Authorization: Bearer $HA_TOKEN" >/dev/null || break
    sleep 0.5
  done
  sleep 2
  become_ha hass -c "/runs/$config" --skip-pip --log-no-color >>"$(ha_base)/runs/$config/out.log" 2>&1 &
  echo $! >"$out/hass.pid"
  all_there "Home Assistant was started again"
  available "Home Assistant was started again"
  alice_in_view "Home Assistant was started again"
  grep -q "Home Assistant has started" "$out/agent.log" || die "the agent has not heard that Home Assistant has started"
  stats
}

agent_anew() {
  end agent KILL
  expect "the agent was killed: nothing but its connection is available" \
    '([entities[] | select(.state != "unavailable") | .unique_id] == ["xbm/Ha-test/connected"]) and (entity("connected").state == "off")'
  start_agent
  available "the agent was started again"
  alice_in_view "the agent was started again"
  end agent TERM
  gallery remove creme-brulee-x
  start_agent
  all_there "a thing was removed while the agent was away"
}

switched_off() {
  end agent TERM
  start_agent --set homeassistant.enabled=false
  expect "homeassistant.enabled is false: all is gone" '(entities == []) and (.devices == [])'
}
