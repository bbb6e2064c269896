package mqtt

import (
	"fmt"
	"regexp"
)

var (
	segment = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	base    = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}(/[a-zA-Z0-9_-]{1,64})*$`)
)

// Topics names the topics of one node.
type Topics struct {
	Base string // such as xbm; may have several levels
	Node string // [a-zA-Z0-9_-]
}

// CheckSegment returns nil for text that can be one level of a topic in the contract: a node id or camera slug.
func CheckSegment(text string) error {
	if !segment.MatchString(text) {
		return fmt.Errorf("%q: want 1 to 64 of a-z, A-Z, 0-9, _ and -", text)
	}
	return nil
}

// CheckBase returns nil for text that can be the base topic.
func CheckBase(text string) error {
	if !base.MatchString(text) {
		return fmt.Errorf("%q: want levels of a-z, A-Z, 0-9, _ and -, separated by /", text)
	}
	return nil
}

// Status is the node's: online or offline, retained, set by the last will.
func (t Topics) Status() string { return t.Base + "/" + t.Node + "/status" }

// Stats takes readings of the agent's health.
func (t Topics) Stats() string { return t.Base + "/" + t.Node + "/stats" }

// CameraStatus is a camera's: online, offline or disabled, retained.
func (t Topics) CameraStatus(camera string) string { return t.camera(camera, "status") }

// Match takes events.
func (t Topics) Match(camera string) string { return t.camera(camera, "match") }

// State says who is in view, retained.
func (t Topics) State(camera string) string { return t.camera(camera, "state") }

// Embedding takes embeddings when they are switched on.
func (t Topics) Embedding(camera string) string { return t.camera(camera, "embedding") }

func (t Topics) camera(camera, leaf string) string {
	return t.Base + "/" + t.Node + "/" + camera + "/" + leaf
}
