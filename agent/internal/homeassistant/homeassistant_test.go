package homeassistant_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/homeassistant"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/internal/gallery"
)

var update = flag.Bool("update", false, "write the golden files anew")

// porch is a node with all that can be announced.
func porch() homeassistant.Node {
	return homeassistant.Node{
		Prefix: "homeassistant", Topics: mqtt.Topics{Base: "xbm", Node: "Porch-a1b2c3"}, Version: "v1.2.3",
		Board: "Raspberry Pi 5 Model B Rev 1.0", Heat: true, Pictures: true, Commands: true, Cameras: []string{"front_door"},
		Things: []gallery.Identity{{ID: "alice", Name: "Alice"}},
	}
}

func devices(t *testing.T, n homeassistant.Node, gone homeassistant.Announced) []homeassistant.Message {
	t.Helper()
	messages, err := n.Devices(gone)
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// doc is an announced device as Home Assistant reads it.
type doc struct {
	Device struct {
		IDs []string `json:"ids"`
		Via string   `json:"via_device"`
	} `json:"dev"`
	Components map[string]map[string]any `json:"cmps"`
}

func decode(t *testing.T, m homeassistant.Message) doc {
	t.Helper()
	var d doc
	if err := json.Unmarshal(m.Payload, &d); err != nil {
		t.Fatalf("%s: %v", m.Topic, err)
	}
	return d
}

func TestGolden(t *testing.T) {
	bare := porch()
	bare.Board, bare.Heat, bare.Pictures, bare.Commands, bare.Things, bare.Cameras = "", false, false, false, nil, []string{"b", "a"}
	odd := porch()
	odd.Prefix, odd.Topics = "ha/discovery", mqtt.Topics{Base: "home/boards", Node: "n_1"}
	odd.Things = []gallery.Identity{{ID: "creme-brulee", Name: `Crème "brûlée" {{ 'x' }} <b>&`}, {ID: "x", Name: "牛奶 🥛"}}
	removed := porch()
	removed.Things = nil
	tests := []struct {
		name string
		node homeassistant.Node
		gone homeassistant.Announced
	}{
		{"all", porch(), nil},
		{"bare", bare, nil},
		{"odd_names", odd, nil},
		{"thing_removed", removed, before(porch()).Gone(before(removed))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got bytes.Buffer
			for _, m := range devices(t, tt.node, tt.gone) {
				got.WriteString(m.Topic + "\n")
				if err := json.Indent(&got, m.Payload, "", " "); err != nil {
					t.Fatal(err)
				}
				got.WriteString("\n")
			}
			path := filepath.Join("testdata", tt.name+".golden")
			if *update {
				if err := os.WriteFile(path, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func before(n homeassistant.Node) homeassistant.Announced { return n.Announced() }

// Home Assistant drops keys that it does not know without a word, so what it knows is held here, of what is used.
func TestKeysAreKnown(t *testing.T) {
	common := []string{"p", "unique_id", "name", "default_entity_id", "entity_category", "icon", "qos", "availability"}
	reads := append([]string{"state_topic", "value_template", "json_attributes_topic", "json_attributes_template", "device_class"}, common...)
	known := map[string][]string{
		"sensor":            append([]string{"unit_of_measurement", "state_class", "suggested_display_precision"}, reads...),
		"binary_sensor":     append([]string{"payload_on", "payload_off"}, reads...),
		"event":             append([]string{"event_types"}, reads...),
		"image":             append([]string{"image_topic", "content_type"}, common...),
		"update":            reads,
		"switch":            append([]string{"command_topic"}, reads...),
		"number":            append([]string{"command_topic", "min", "max", "step", "mode"}, reads...),
		"device_automation": {"p", "unique_id", "automation_type", "type", "subtype", "topic", "value_template", "payload", "qos"},
	}
	needed := map[string][]string{
		"sensor": {"state_topic", "name"}, "binary_sensor": {"state_topic", "name"}, "event": {"state_topic", "event_types"},
		"image": {"image_topic"}, "update": {"state_topic"}, "switch": {"command_topic"}, "number": {"command_topic"}, "device_automation": {"automation_type", "type", "subtype", "topic"},
	}
	seen := map[string]string{}
	for _, m := range devices(t, porch(), nil) {
		var top map[string]json.RawMessage
		if err := json.Unmarshal(m.Payload, &top); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"dev", "o", "cmps", "avty", "avty_mode"} {
			if top[key] == nil {
				t.Errorf("%s has no %s", m.Topic, key)
			}
		}
		for key, c := range decode(t, m).Components {
			platform, _ := c["p"].(string)
			for k := range c {
				if !slices.Contains(known[platform], k) {
					t.Errorf("%s: Home Assistant's %s knows no %s", key, platform, k)
				}
			}
			for _, k := range append([]string{"unique_id"}, needed[platform]...) {
				if c[k] == nil {
					t.Errorf("%s: a %s needs %s", key, platform, k)
				}
			}
			id, _ := c["unique_id"].(string)
			if other, taken := seen[id]; taken {
				t.Errorf("%s and %s have the unique id %s", key, other, id)
			}
			seen[id] = key
		}
	}
	if len(seen) < 12 {
		t.Errorf("only %d components", len(seen))
	}
}

// ids returns what Home Assistant knows devices and entities by.
func ids(t *testing.T, n homeassistant.Node) []string {
	t.Helper()
	var out []string
	for _, m := range devices(t, n, nil) {
		d := decode(t, m)
		out = append(out, m.Topic)
		out = append(out, d.Device.IDs...)
		for key, c := range d.Components {
			id, _ := c["unique_id"].(string)
			out = append(out, m.Topic+" "+key+" "+id)
			if c["p"] == "device_automation" { // automations keep these
				out = append(out, m.Topic+" "+c["type"].(string)+" "+c["subtype"].(string))
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestIDsAreStable(t *testing.T) {
	first := porch()
	first.Cameras = []string{"a", "b"}
	first.Things = append(first.Things, gallery.Identity{ID: "bob", Name: "Bob"})
	later := first
	later.Version, later.Board = "v2.0.0", "another"
	later.Cameras = []string{"b", "a"}
	later.Things = []gallery.Identity{{ID: "bob", Name: "Robert"}, {ID: "alice", Name: "Alice B."}}
	if diff := cmp.Diff(ids(t, first), ids(t, later)); diff != "" {
		t.Errorf("another version, order and names (-before +after):\n%s", diff)
	}
}

func TestIDsDiffer(t *testing.T) {
	node := func(base, id string, cameras ...string) homeassistant.Node {
		n := porch()
		n.Topics, n.Cameras = mqtt.Topics{Base: base, Node: id}, cameras
		return n
	}
	all := map[string]string{}
	for name, n := range map[string]homeassistant.Node{
		"a_b/c": node("xbm", "a_b", "c"), "a/b_c": node("xbm", "a", "b_c"), "xbm_a/b": node("xbm_a", "b", "c"),
		"a_b_c": node("xbm", "a_b_c"), "case": node("xbm", "A", "b_c"), "camera a trigger": node("xbm", "n", "trigger", "picture_unknown"),
	} {
		for _, id := range ids(t, n) {
			if other, taken := all[id]; taken {
				t.Errorf("%s and %s both have %s", name, other, id)
			}
			all[id] = name
		}
	}
	for _, m := range devices(t, node("x/y/z", "a", "b"), nil) {
		if strings.Count(m.Topic, "/") != 3 {
			t.Errorf("topic %s: Home Assistant wants one level for the id", m.Topic)
		}
	}
}

func TestAnnounced(t *testing.T) {
	one, none := porch(), porch()
	one.Cameras = []string{"attic", "front_door"}
	none.Things = nil
	told := one.Announced()
	gone := told.Gone(none.Announced())
	counts := map[string]int{}
	for topic, components := range gone {
		counts[topic] = len(components)
	}
	if len(gone) != 3 { // the node and the front door lose a thing, the attic is no more
		t.Errorf("gone: %v", counts)
	}
	path := filepath.Join(t.TempDir(), "homeassistant.json")
	if got, err := homeassistant.Load(path); err != nil || len(got) != 0 {
		t.Errorf("a file that is not there: %v, %v", got, err)
	}
	if err := told.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := homeassistant.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(told, got); diff != "" {
		t.Errorf("(-saved +loaded):\n%s", diff)
	}
	if left := none.Announced().With(gone).Gone(none.Announced()); len(left) != len(gone) {
		t.Errorf("what is gone is not remembered: %v", left)
	}
	many := homeassistant.Announced{"t": {}}
	for i := range 500 {
		many["t"][strings.Repeat("x", i+1)] = "sensor"
	}
	if n := len(homeassistant.Announced{}.With(many)["t"]); n != 200 {
		t.Errorf("%d gone components are remembered, want 200", n)
	}
	for _, text := range []string{"", "{", "[]", `{"schema":"homeassistant/2","devices":{}}`, `{"schema":"homeassistant/1"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := homeassistant.Load(path); err == nil || len(got) != 0 || got == nil {
			t.Errorf("%q: %v, %v; want an error and nothing", text, got, err)
		}
	}
}

func TestSeen(t *testing.T) {
	for key, want := range map[string]string{"seen_alice": "alice", "seen_seen_x": "seen_x", "seen_": "", "fps": "", "trigger_alice": ""} {
		if id, ok := homeassistant.Seen(key); id != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", key, id, ok)
		}
	}
}
