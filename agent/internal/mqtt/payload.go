package mqtt

import (
	"embed"
	"encoding/base64"
	"math"
	"time"

	"xbmedge/agent/internal/pipeline"
)

// Schemas holds a JSON Schema for every JSON payload: schema/NAME.json for the payload whose schema field is NAME/1.
//
//go:embed schema/*.json
var Schemas embed.FS

// Match is one event of a track: something came, was seen better, or went.
type Match struct {
	Schema    string        `json:"schema"`
	EventType string        `json:"event_type"` // recognized, unknown or left
	Type      string        `json:"type"`       // new, update or end
	EventID   string        `json:"event_id"`   // the same for all events of a track
	Seq       uint64        `json:"seq"`        // grows by one per node; the outbox gives it
	Node      string        `json:"node"`
	Camera    string        `json:"camera"`
	TS        float64       `json:"ts"`               // Unix time, seconds
	Time      string        `json:"time"`             // the same, RFC 3339
	Boot      string        `json:"boot,omitempty"`   // id of the machine's start
	Mono      float64       `json:"mono,omitempty"`   // seconds from then to TS, whatever the clock did
	Synced    *bool         `json:"synced,omitempty"` // whether TS is of a clock that follows a time server
	Identity  MatchIdentity `json:"identity"`
	Score     float64       `json:"score"`  // cosine, -1 to 1
	Margin    float64       `json:"margin"` // to the runner-up
	Threshold float64       `json:"threshold"`
	Known     bool          `json:"known"`
	Frames    int           `json:"frames"` // of this track so far
	TopK      []MatchScore  `json:"topk"`
	Box       [4]float64    `json:"box"` // left, top, width, height as shares of the picture
	Model     MatchModel    `json:"model"`
	Gallery   MatchGallery  `json:"gallery"`
	Latency   MatchLatency  `json:"latency_ms"`
}

// MatchIdentity is who was seen; the ID never changes. Of what is not known it is unknown, or unknown-N for a stranger that
// is remembered.
type MatchIdentity struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// MatchScore is a near identity.
type MatchScore struct {
	ID    string  `json:"id"`
	Score float64 `json:"score"`
}

// MatchModel is the model that made the embedding.
type MatchModel struct {
	Name  string `json:"name"`
	SHA   string `json:"sha"` // first 6 hex digits of the file's SHA-256
	Dim   int    `json:"dim"`
	Quant string `json:"quant"`
	Space string `json:"space"` // id of the embedding space; embeddings of one space can be compared
}

// MatchGallery is the gallery asked.
type MatchGallery struct {
	Version uint64 `json:"version"` // grows with every change
	N       int    `json:"n"`       // embeddings in it
}

// MatchLatency is where the time of the frame went, in milliseconds.
type MatchLatency struct {
	Capture float64 `json:"capture"` // from its capture until it was taken up
	Embed   float64 `json:"embed"`
	Match   float64 `json:"match"`
}

// State is who is in view of a camera.
type State struct {
	Schema  string     `json:"schema"`
	Present []string   `json:"present"` // identity ids in view, sorted
	Names   []string   `json:"names"`   // theirs, in the same order
	Count   int        `json:"count"`   // len(Present)
	Unknown int        `json:"unknown"` // unknown things in view
	Last    *StateLast `json:"last"`    // the latest event that was no end; null before the first
	TS      float64    `json:"ts"`
}

// StateLast is the latest event in brief.
type StateLast struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Score   float64 `json:"score"`
	EventID string  `json:"event_id"`
	TS      float64 `json:"ts"`
}

// Update is what Home Assistant wants to be told of a model: that and nothing else.
type Update struct {
	Installed string `json:"installed_version"`
	Latest    string `json:"latest_version"`
	Title     string `json:"title"`
}

// Embedding is one frame's embedding as signed bytes: value ≈ (byte - zp) × scale.
type Embedding struct {
	Schema string  `json:"schema"`
	Node   string  `json:"node"`
	Camera string  `json:"camera"`
	Frame  uint64  `json:"frame"` // the source's frame number
	TS     float64 `json:"ts"`
	Dim    int     `json:"dim"`
	DType  string  `json:"dtype"` // i8
	Scale  float64 `json:"scale"`
	ZP     int     `json:"zp"`
	L2     bool    `json:"l2"` // true: of length 1 before it was made bytes
	B64    string  `json:"b64"`
	Model  string  `json:"model"` // first 6 hex digits of the model file's SHA-256
}

// FaultSchema names the shape of a Fault.
const FaultSchema = "error/1"

// The codes of faults. Those of refused values for features begin with refused_.
const (
	FaultCamera   = "camera"   // gives no frames, or has ended
	FaultNotKept  = "not_kept" // something holds until the next start only
	FaultOutbox   = "outbox"   // events wait in memory
	FaultHung     = "hung"     // a stage hangs
	FaultThrottle = "throttle" // too hot, or short of power
)

// Fault tells that something is wrong.
type Fault struct {
	Schema string  `json:"schema"`
	Node   string  `json:"node"`
	Code   string  `json:"code"`
	Msg    string  `json:"msg"`
	Camera string  `json:"camera,omitempty"` // empty: the node's
	TS     float64 `json:"ts"`
}

// Gallery says what is enrolled.
type Gallery struct {
	Schema     string            `json:"schema"`
	Node       string            `json:"node"`
	Version    uint64            `json:"version"` // grows with every change
	N          int               `json:"n"`       // embeddings
	Threshold  float64           `json:"threshold"`
	Model      MatchModel        `json:"model"`
	Identities []GalleryIdentity `json:"identities"`
	TS         float64           `json:"ts"`
}

// GalleryIdentity is one that is enrolled.
type GalleryIdentity struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	N         int     `json:"n"`                   // embeddings
	Rejected  int     `json:"rejected,omitempty"`  // counter-examples
	Threshold float64 `json:"threshold,omitempty"` // its own
}

// Identity says when one was seen last.
type Identity struct {
	Schema   string  `json:"schema"`
	Node     string  `json:"node"`
	ID       string  `json:"id"`
	Name     string  `json:"name"`
	Camera   string  `json:"camera"`
	Score    float64 `json:"score"`
	LastSeen float64 `json:"last_seen"` // Unix time, seconds
	EventID  string  `json:"event_id"`
}

// Candidate is a near miss: what one frame shows is nearest to an identity, but below its threshold.
type Candidate struct {
	Schema    string        `json:"schema"`
	Node      string        `json:"node"`
	Camera    string        `json:"camera"`
	Frame     uint64        `json:"frame"` // the source's frame number
	TS        float64       `json:"ts"`
	Identity  MatchIdentity `json:"identity"`
	Score     float64       `json:"score"`     // cosine, -1 to 1
	Margin    float64       `json:"margin"`    // to the runner-up
	Threshold float64       `json:"threshold"` // that the score does not reach
	TopK      []MatchScore  `json:"topk"`
	Box       [4]float64    `json:"box"`
	Model     string        `json:"model"` // first 6 hex digits of the model file's SHA-256
}

const embeddingScale = 1.0 / 127

// encodeEmbedding fills the value fields from an L2-normalised embedding. A unit vector's values lie in -1…1.
func (e *Embedding) encodeEmbedding(v []float32) {
	raw := make([]byte, len(v))
	for i, x := range v {
		raw[i] = byte(int8(max(-127, min(127, math.Round(float64(x)/embeddingScale)))))
	}
	e.Dim, e.DType, e.Scale, e.ZP, e.L2 = len(v), "i8", embeddingScale, 0, true
	e.B64 = base64.StdEncoding.EncodeToString(raw)
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// round4 keeps payloads short: a cosine's fifth digit says nothing.
func round4(x float32) float64 { return math.Round(float64(x)*1e4) / 1e4 }

// roundBox keeps a box's digits to what a pixel is worth.
func roundBox(b pipeline.Box) [4]float64 {
	for i, x := range b {
		b[i] = math.Round(max(0, min(1, x))*1e4) / 1e4
	}
	return b
}

func milliseconds(d time.Duration) float64 { return math.Round(float64(d.Microseconds())/100) / 10 }
