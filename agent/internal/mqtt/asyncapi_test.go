package mqtt_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/internal/testdata"
)

var update = flag.Bool("update", false, "write docs/asyncapi.json anew")

type object = map[string]any

// asyncAPI describes the contract in AsyncAPI 3.0: its table of topics, and the schemas of their payloads.
func asyncAPI(t *testing.T) []byte {
	t.Helper()
	channels, operations, messages := object{}, object{}, object{}
	for _, c := range mqtt.Contract() {
		name := strings.Trim(regexp.MustCompile(`[^a-z]+`).ReplaceAllString(c.Topic, "_"), "_")
		parameters := object{
			"base": object{"description": "mqtt.base of the configuration", "default": "xbm"},
			"node": object{"description": "node of the configuration, or host name and part of the machine id"},
		}
		for _, p := range regexp.MustCompile(`\{([a-z]+)\}`).FindAllStringSubmatch(c.Topic, -1) {
			parameters[p[1]] = object{"description": "Its id: a-z, 0-9, _ and -"}
		}
		channels[name] = object{
			"address": "{base}/{node}/" + c.Topic, "description": c.Summary, "parameters": parameters,
			"messages": object{"payload": object{"$ref": "#/components/messages/" + c.Schema}},
		}
		action := "send"
		if c.Taken {
			action = "receive"
		}
		operation := object{
			"action": action, "channel": object{"$ref": "#/channels/" + name}, "summary": c.Summary,
			"bindings": object{"mqtt": object{"qos": c.QoS, "retain": c.Retained, "bindingVersion": "0.2.0"}},
		}
		if c.Topic == "gallery/set" {
			operation["reply"] = object{"channel": object{"$ref": "#/channels/gallery_reply"}}
		}
		operations[action+"_"+name] = operation
		messages[c.Schema] = message(t, c)
	}
	doc, err := json.MarshalIndent(object{
		"asyncapi": "3.0.0",
		"info": object{
			"title": "xbm-agent", "version": "1", "description": "What a camera board says over MQTT, and what it can be told. See mqtt.md.",
			"license": object{"name": "See LICENSE"},
		},
		"defaultContentType": "application/json",
		"channels":           channels, "operations": operations, "components": object{"messages": messages},
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(doc, '\n')
}

// message describes a payload. The schemas use nothing that is newer than draft 7, which is what readers of AsyncAPI have
// to know.
func message(t *testing.T, c mqtt.Channel) object {
	t.Helper()
	text, err := mqtt.Schemas.ReadFile("schema/" + c.Schema + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var schema object
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	delete(schema, "$schema")
	contentType := "application/json"
	if c.Text {
		contentType = "text/plain"
	}
	return object{
		"name": c.Schema, "contentType": contentType,
		"payload": object{"schemaFormat": "application/schema+json;version=draft-07", "schema": schema},
	}
}

// The document is the one that the table and the schemas give; -update writes it.
func TestAsyncAPI(t *testing.T) {
	path := filepath.Join(testdata.Root(t), "docs", "asyncapi.json")
	want := asyncAPI(t)
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("docs/asyncapi.json is not what the contract says (%v); write it anew with `make asyncapi`", err)
	}
	for _, ref := range regexp.MustCompile(`"\$ref": "#/([^"]+)"`).FindAllSubmatch(got, -1) {
		var at any
		if err := json.Unmarshal(got, &at); err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(string(ref[1]), "/") {
			at = at.(object)[part]
		}
		if at == nil {
			t.Errorf("%s leads nowhere", ref[1])
		}
	}
}

// docs/mqtt.md names every topic.
func TestTopicsAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testdata.Root(t), "docs", "mqtt.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range mqtt.Contract() {
		topic := "`xbm/NODE/" + strings.NewReplacer("{camera}", "CAMERA", "{identity}", "ID").Replace(c.Topic) + "`"
		if !bytes.Contains(text, []byte(topic)) {
			t.Errorf("docs/mqtt.md does not name %s", topic)
		}
	}
}
