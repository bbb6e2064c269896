// Package homeassistant describes a node to Home Assistant: as MQTT device discovery (Home Assistant's "device" form), one
// device for the node and one for each camera, from which Home Assistant makes its entities by itself.
//
// It makes texts and sends nothing. All ids are made of topics, which are unique at a broker and do not change with names,
// versions or the order of things, so that Home Assistant finds its entities again.
package homeassistant

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/internal/gallery"
)

// DefaultPrefix is Home Assistant's own default for the first level of its topics.
const DefaultPrefix = "homeassistant"

// BirthTopic is where Home Assistant says that it has started, with the payload BirthOnline.
func BirthTopic(prefix string) string { return prefix + "/status" }

// BirthOnline is the payload with which Home Assistant starts.
const BirthOnline = "online"

// Node is what Home Assistant is told of.
type Node struct {
	Prefix   string // of Home Assistant's topics
	Topics   mqtt.Topics
	Version  string // of the agent
	Board    string // the machine's model, "" where it is not known
	Heat     bool   // the board tells its temperature
	Pictures bool   // snapshots are published
	Commands bool   // the cameras' features can be set
	Cameras  []string
	Things   []gallery.Identity // each gets a sensor
}

// Message is a retained message. An empty payload takes a device away.
type Message struct {
	Topic   string
	Payload []byte
}

// device is the payload that announces one device.
type device struct {
	Device       deviceInfo           `json:"dev"`
	Origin       origin               `json:"o"`
	Availability []availability       `json:"avty"`
	Mode         string               `json:"avty_mode"`
	Components   map[string]component `json:"cmps"`
}

type deviceInfo struct {
	IDs          []string `json:"ids"`
	Name         string   `json:"name"`
	Manufacturer string   `json:"mf"`
	Model        string   `json:"mdl"`
	Version      string   `json:"sw"`
	Via          string   `json:"via_device,omitempty"`
}

type origin struct {
	Name    string `json:"name"`
	Version string `json:"sw"`
}

type availability struct {
	Topic    string `json:"t"`
	Template string `json:"val_tpl,omitempty"`
}

// onlyOnline makes every status but online, such as disabled, one that Home Assistant knows.
const onlyOnline = "{{ 'online' if value == 'online' else 'offline' }}"

const maker = "xbmedge"

// Devices returns what announces the node and its cameras, the node first: Home Assistant wants to know a device before
// those that are reached through it. gone are components that were announced before and are taken away now.
func (n *Node) Devices(gone Announced) ([]Message, error) {
	all := n.devices()
	var out []Message
	for _, topic := range n.topics() {
		d := all[topic]
		for key, platform := range gone[topic] {
			if _, there := d.Components[key]; !there {
				d.Components[key] = component{Platform: platform}
			}
		}
		payload, err := json.Marshal(d)
		if err != nil {
			return nil, fmt.Errorf("encode discovery: %w", err)
		}
		out = append(out, Message{topic, payload})
	}
	return out, nil
}

// Announced returns the components of each device, without those that are gone.
func (n *Node) Announced() Announced {
	out := Announced{}
	for topic, d := range n.devices() {
		out[topic] = map[string]string{}
		for key, c := range d.Components {
			out[topic][key] = c.Platform
		}
	}
	return out
}

func (n *Node) devices() map[string]device {
	all := map[string]device{n.deviceTopic(n.id()): n.node()}
	for _, camera := range n.Cameras {
		all[n.deviceTopic(n.cameraID(camera))] = n.camera(camera)
	}
	return all
}

// topics returns those of all devices, the node's first and the cameras' in the order of their names.
func (n *Node) topics() []string {
	out := []string{n.deviceTopic(n.id())}
	for _, camera := range slices.Sorted(slices.Values(n.Cameras)) {
		out = append(out, n.deviceTopic(n.cameraID(camera)))
	}
	return out
}

// id is the node's device identifier, and starts the unique ids of its entities.
func (n *Node) id() string { return n.Topics.Base + "/" + n.Topics.Node }

func (n *Node) cameraID(camera string) string { return n.id() + "/" + camera }

// deviceTopic is where a device is announced. Slashes cannot be in that level, and without them two ids may look the
// same: six digits of a hash keep them apart.
func (n *Node) deviceTopic(id string) string {
	sum := sha256.Sum256([]byte(id))
	return n.Prefix + "/device/" + strings.ReplaceAll(id, "/", "_") + "_" + hex.EncodeToString(sum[:3]) + "/config"
}

func (n *Node) info(id, name, model string) deviceInfo {
	return deviceInfo{IDs: []string{id}, Name: name, Manufacturer: maker, Model: model, Version: n.Version}
}

// node is the device of the node itself.
func (n *Node) node() device {
	model := n.Board
	if model == "" {
		model = "xbm-agent"
	}
	return device{
		Device: n.info(n.id(), n.Topics.Node, model), Origin: origin{"xbm-agent", n.Version},
		Availability: []availability{{Topic: n.Topics.Status()}}, Mode: "all", Components: n.nodeComponents(),
	}
}

// camera is the device of one camera.
func (n *Node) camera(id string) device {
	info := n.info(n.cameraID(id), n.Topics.Node+" "+words(id), "camera")
	info.Via = n.id()
	return device{
		Device: info, Origin: origin{"xbm-agent", n.Version},
		Availability: []availability{{Topic: n.Topics.Status()}, {n.Topics.CameraStatus(id), onlyOnline}},
		Mode:         "all", Components: n.cameraComponents(id),
	}
}

// words makes a slug readable.
func words(slug string) string { return strings.TrimSpace(strings.ReplaceAll(slug, "_", " ")) }

// entityID proposes an entity's id: what Home Assistant makes of an id's parts, which are lower case letters, digits and _.
func entityID(platform string, parts ...string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, strings.Join(parts, "_"))
	return platform + "." + name
}

// Announced are the components that Home Assistant was told of: their platforms, by the key of the component, by the
// topic of the device.
type Announced map[string]map[string]string

// Gone returns what is in a and not in now.
func (a Announced) Gone(now Announced) Announced {
	gone := Announced{}
	for topic, components := range a {
		left := maps.Clone(components)
		for key := range now[topic] {
			delete(left, key)
		}
		if _, there := now[topic]; !there || len(left) > 0 {
			gone[topic] = left
		}
	}
	return gone
}
