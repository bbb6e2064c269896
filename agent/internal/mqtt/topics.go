package mqtt

import (
	"fmt"
	"regexp"
	"strings"
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

// Candidate takes near misses when they are switched on.
func (t Topics) Candidate(camera string) string { return t.camera(camera, "candidate") }

// FeatureState says how a camera's feature is set, retained.
func (t Topics) FeatureState(camera, feature string) string {
	return t.camera(camera, feature) + "/state"
}

// FeatureSet takes values for a camera's feature.
func (t Topics) FeatureSet(camera, feature string) string { return t.camera(camera, feature) + "/set" }

// GallerySet takes commands.
func (t Topics) GallerySet() string { return t.camera("gallery", "set") }

// GalleryReply takes the answers to commands.
func (t Topics) GalleryReply() string { return t.camera("gallery", "reply") }

// GalleryState says what is enrolled, retained.
func (t Topics) GalleryState() string { return t.camera("gallery", "state") }

// Identity says when an identity was seen last, retained.
func (t Topics) Identity(id string) string { return t.camera("identity", id) + "/state" }

// Error takes what is wrong.
func (t Topics) Error() string { return t.Base + "/" + t.Node + "/error" }

// Test is for messages that a node sends to itself, to see that they come back.
func (t Topics) Test() string { return t.camera("test", "set") }

// Commands are the filters of all that a node listens to.
func (t Topics) Commands() []string { return []string{t.GallerySet(), t.FeatureSet("+", "+")} }

// Command returns the camera and feature that a topic sets, both empty for gallery commands. known is false for a topic
// of another kind.
func (t Topics) Command(topic string) (camera, feature string, known bool) {
	if topic == t.GallerySet() {
		return "", "", true
	}
	rest, ours := strings.CutPrefix(topic, t.Base+"/"+t.Node+"/")
	parts := strings.Split(rest, "/")
	if !ours || len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] != "set" {
		return "", "", false
	}
	return parts[0], parts[1], true
}

// Snapshot has the picture of a camera's latest match, retained.
func (t Topics) Snapshot(camera string) string { return t.camera(camera, "snapshot") }

// IdentitySnapshot has its picture then, retained.
func (t Topics) IdentitySnapshot(id string) string {
	return t.Base + "/" + t.Node + "/identity/" + id + "/snapshot"
}

// Update says which model is at work, retained, as Home Assistant wants it told.
func (t Topics) Update() string { return t.Base + "/" + t.Node + "/update/state" }

func (t Topics) camera(camera, leaf string) string {
	return t.Base + "/" + t.Node + "/" + camera + "/" + leaf
}
