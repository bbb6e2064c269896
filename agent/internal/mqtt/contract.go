package mqtt

import (
	"regexp"
	"strings"
)

// Channel is a topic of the contract. The table of them is the one source for the documentation and the tests.
type Channel struct {
	Topic    string // below base/node; {camera} and {identity} stand for one level each
	Schema   string // schema/NAME.json holds what is sent there
	Retained bool
	QoS      byte
	Taken    bool // the agent takes what is sent there; else it sends
	Text     bool // plain text, not JSON
	Picture  bool // JPEG; Schema is then only a name
	Summary  string
}

// Contract returns every topic that the agent sends to or takes from.
func Contract() []Channel {
	feature := func(name, schema, summary string) []Channel {
		return []Channel{
			{Topic: "{camera}/" + name + "/set", Schema: schema, QoS: 1, Taken: true, Text: true, Summary: "Sets: " + summary},
			{Topic: "{camera}/" + name + "/state", Schema: schema, Retained: true, QoS: 1, Text: true, Summary: "Says: " + summary},
		}
	}
	all := []Channel{
		{Topic: "status", Schema: "node-status", Retained: true, QoS: 1, Text: true, Summary: "Whether the node is there."},
		{Topic: "stats", Schema: "stats", Summary: "How the node is, once a minute."},
		{Topic: "error", Schema: "error", QoS: 1, Summary: "What is wrong."},
		{Topic: "gallery/set", Schema: "command", QoS: 1, Taken: true, Summary: "Commands; each is answered."},
		{Topic: "gallery/reply", Schema: "reply", QoS: 1, Summary: "The answers to commands."},
		{Topic: "gallery/state", Schema: "gallery", Retained: true, QoS: 1, Summary: "What is enrolled."},
		{Topic: "identity/{identity}/state", Schema: "identity", Retained: true, QoS: 1, Summary: "When a thing was seen last; all unknown ones are one."},
		{Topic: "identity/{identity}/snapshot", Schema: "picture", Picture: true, Retained: true, Summary: "Its latest picture."},
		{Topic: "{camera}/snapshot", Schema: "picture", Picture: true, Retained: true, Summary: "The picture of the latest match."},
		{Topic: "update/state", Schema: "update", Retained: true, QoS: 1, Summary: "Which model is at work."},
		{Topic: "{camera}/status", Schema: "camera-status", Retained: true, QoS: 1, Text: true, Summary: "Whether a camera gives frames."},
		{Topic: "{camera}/match", Schema: "match", QoS: 1, Summary: "Something came, was seen better, or went."},
		{Topic: "{camera}/state", Schema: "state", Retained: true, QoS: 1, Summary: "What is in view."},
		{Topic: "{camera}/embedding", Schema: "embedding", Summary: "Each frame's embedding, where that is switched on."},
		{Topic: "{camera}/candidate", Schema: "candidate", Summary: "What is nearest, but below its threshold, of each frame, where that is switched on."},
	}
	for _, f := range [][]Channel{
		feature("enabled", "switch", "whether the camera is read at all."),
		feature("recognition", "switch", "whether its frames are looked at."),
		feature("threshold", "number", "least score of a known thing; 0 sets the gallery's own."),
		feature("fps", "number", "frames a second that are looked at, at most; 0: all."),
		feature("publish_embeddings", "switch", "whether each frame's embedding is published."),
	} {
		all = append(all, f...)
	}
	return all
}

// Channel returns the contract's line for a topic of the node.
func (t Topics) Channel(topic string) (Channel, bool) {
	rest, ours := strings.CutPrefix(topic, t.Base+"/"+t.Node+"/")
	if !ours {
		return Channel{}, false
	}
	for _, c := range Contract() {
		pattern := regexp.MustCompile(`\\{[a-z]+\\}`).ReplaceAllString(regexp.QuoteMeta(c.Topic), `[a-z0-9_-]{1,64}`)
		if regexp.MustCompile("^" + pattern + "$").MatchString(rest) {
			return c, true
		}
	}
	return Channel{}, false
}
