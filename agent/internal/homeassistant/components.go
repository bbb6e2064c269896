package homeassistant

import (
	"fmt"

	"xbmedge/internal/gallery"
)

// component is one entity or device trigger. A component of nothing but its platform is taken away.
type component struct {
	Platform string `json:"p"`
	UniqueID string `json:"unique_id,omitempty"`
	Name     string `json:"name,omitempty"`
	EntityID string `json:"default_entity_id,omitempty"`
	Category string `json:"entity_category,omitempty"`
	Icon     string `json:"icon,omitempty"`

	StateTopic string `json:"state_topic,omitempty"`
	Template   string `json:"value_template,omitempty"`
	Attributes string `json:"json_attributes_topic,omitempty"`
	QoS        int    `json:"qos,omitempty"`

	AttributesTemplate string `json:"json_attributes_template,omitempty"`

	DeviceClass string `json:"device_class,omitempty"`
	Unit        string `json:"unit_of_measurement,omitempty"`
	StateClass  string `json:"state_class,omitempty"`
	Precision   *int   `json:"suggested_display_precision,omitempty"`

	PayloadOn  string `json:"payload_on,omitempty"`
	PayloadOff string `json:"payload_off,omitempty"`

	EventTypes []string `json:"event_types,omitempty"`

	ImageTopic  string `json:"image_topic,omitempty"`
	ContentType string `json:"content_type,omitempty"`

	CommandTopic string   `json:"command_topic,omitempty"`
	Min          *float64 `json:"min,omitempty"`
	Max          *float64 `json:"max,omitempty"`
	Step         float64  `json:"step,omitempty"`
	Mode         string   `json:"mode,omitempty"`

	AutomationType string `json:"automation_type,omitempty"`
	Type           string `json:"type,omitempty"`
	Subtype        string `json:"subtype,omitempty"`
	Topic          string `json:"topic,omitempty"`
	Payload        string `json:"payload,omitempty"`

	// Availability stands in the place of the device's; empty and not nil: always available.
	Availability []availability `json:"availability,omitzero"`
}

const diagnostic = "diagnostic"

// seenKey starts the keys of the sensors of things.
const seenKey = "seen_"

// Seen returns the identity that a component's key is about, if it is one of a thing's sensor.
func Seen(key string) (identity string, ok bool) {
	if len(key) <= len(seenKey) || key[:len(seenKey)] != seenKey {
		return "", false
	}
	return key[len(seenKey):], true
}

func (n *Node) nodeComponents() map[string]component {
	stats := func(what, name, template, unit string, precision int) component {
		c := n.component("sensor", what, name)
		c.StateTopic, c.Template, c.Unit = n.Topics.Stats(), "{{ value_json."+template+" }}", unit
		c.StateClass, c.Precision, c.Category = "measurement", &precision, diagnostic
		return c
	}
	out := map[string]component{
		"fps":       stats("fps", "Frame rate", "fps", "fps", 1),
		"infer_p95": stats("infer_p95", "Inference time p95", "infer_p95_ms", "ms", 1),
		"queue":     stats("queue", "Queue", "queue", "events", 0),
		"gallery":   stats("gallery", "Gallery size", "gallery_things", "things", 0),
	}
	p95 := out["infer_p95"]
	p95.DeviceClass = "duration"
	out["infer_p95"] = p95
	if n.Heat {
		c := stats("temperature", "Temperature", "temperature_c", "°C", 1)
		c.DeviceClass = "temperature"
		out["temperature"] = c
	}

	connected := n.component("binary_sensor", "connected", "Connection")
	connected.StateTopic, connected.PayloadOn, connected.PayloadOff = n.Topics.Status(), "online", "offline"
	connected.DeviceClass, connected.Category, connected.Availability = "connectivity", diagnostic, []availability{}
	out["connected"] = connected

	model := n.component("update", "model", "Model")
	model.StateTopic, model.Category = n.Topics.Update(), diagnostic
	out["model"] = model

	for _, thing := range n.Things {
		out[seenKey+thing.ID] = n.seen(thing)
	}
	out[seenKey+gallery.UnknownID] = n.seen(gallery.Identity{ID: gallery.UnknownID, Name: "Something unknown"})
	if n.Pictures {
		out["picture_unknown"] = n.picture("picture_unknown", "Last unknown", n.Topics.IdentitySnapshot(gallery.UnknownID))
	}
	return out
}

// component is an entity of the node.
func (n *Node) component(platform, what, name string) component {
	return component{
		Platform: platform, UniqueID: n.id() + "/" + what, Name: name, EntityID: entityID(platform, n.Topics.Node, what),
	}
}

// seen is the sensor of when a thing was seen last.
func (n *Node) seen(thing gallery.Identity) component {
	c := n.component("sensor", "identity/"+thing.ID, thing.Name+" last seen")
	c.EntityID = entityID("sensor", n.Topics.Node, thing.ID, "last_seen")
	c.StateTopic, c.Attributes = n.Topics.Identity(thing.ID), n.Topics.Identity(thing.ID)
	c.DeviceClass = "timestamp"
	// The state is empty when the thing has just been removed and Home Assistant has not yet taken the sensor away.
	c.Template = "{{ value_json.last_seen | as_datetime if value_json is defined else None }}"
	c.AttributesTemplate = "{{ value or '{}' }}"
	return c
}

func (n *Node) picture(what, name, topic string) component {
	c := n.component("image", what, name)
	c.ImageTopic, c.ContentType = topic, "image/jpeg"
	return c
}

// EventTypes are what can happen at a camera.
func EventTypes() []string { return []string{"recognized", "unknown", "left"} }

func (n *Node) cameraComponents(camera string) map[string]component {
	add := func(platform, what, name string) component {
		return component{
			Platform: platform, UniqueID: n.cameraID(camera) + "/" + what, Name: name,
			EntityID: entityID(platform, n.Topics.Node, camera, what),
		}
	}
	who := add("sensor", "who", "In view")
	who.StateTopic, who.Attributes, who.Icon = n.Topics.State(camera), n.Topics.State(camera), "mdi:eye"
	// A state has at most 255 characters.
	who.Template = "{{ (value_json.names | join(', ') or 'nothing')[:255] }}"

	recognition := add("event", "recognition", "Recognition")
	recognition.StateTopic, recognition.EventTypes, recognition.QoS = n.Topics.Match(camera), EventTypes(), 1

	unknown := add("binary_sensor", "unknown", "Something unknown")
	unknown.StateTopic, unknown.DeviceClass = n.Topics.State(camera), "occupancy"
	unknown.Template = "{{ 'ON' if value_json.unknown > 0 else 'OFF' }}"

	out := map[string]component{"who": who, "recognition": recognition, "unknown": unknown}
	if n.Pictures {
		match := add("image", "picture", "Last match")
		match.ImageTopic, match.ContentType = n.Topics.Snapshot(camera), "image/jpeg"
		out["picture"] = match
	}
	if n.Commands {
		n.addFeatures(camera, add, out)
	}
	for _, thing := range n.Things {
		out["trigger_"+thing.ID] = n.trigger(camera, thing.ID, "{{ value_json.type }} {{ value_json.identity.id }}")
	}
	// Of an unknown thing the identity may be that of a stranger.
	out["trigger_"+gallery.UnknownID] = n.trigger(camera, gallery.UnknownID, "{{ value_json.type }} {{ value_json.event_type }}")
	return out
}

// addFeatures adds what can be set while the agent runs. That a camera gives no frames is no reason not to.
func (n *Node) addFeatures(camera string, add func(platform, what, name string) component, out map[string]component) {
	set := func(platform, feature, name, icon string) component {
		c := add(platform, "set_"+feature, name)
		c.StateTopic, c.CommandTopic = n.Topics.FeatureState(camera, feature), n.Topics.FeatureSet(camera, feature)
		c.Category, c.Icon, c.QoS = "config", icon, 1
		c.Availability = []availability{{Topic: n.Topics.Status()}}
		return c
	}
	recognition := set("switch", "recognition", "Recognition on", "mdi:eye-check")
	threshold := set("number", "threshold", "Threshold", "mdi:tune-vertical")
	least, most := 0.0, 1.0
	threshold.Min, threshold.Max, threshold.Step, threshold.Mode = &least, &most, 0.01, "box"
	out["set_recognition"], out["set_threshold"] = recognition, threshold
}

// trigger lets an automation begin when a thing comes into view. Automations keep its type and subtype: those do not
// change when the thing is renamed.
func (n *Node) trigger(camera, id, template string) component {
	return component{
		Platform: "device_automation", UniqueID: fmt.Sprintf("%s/trigger/%s", n.cameraID(camera), id),
		AutomationType: "trigger", Type: "in_view", Subtype: id,
		Topic: n.Topics.Match(camera), Template: template, Payload: "new " + id, QoS: 1,
	}
}
