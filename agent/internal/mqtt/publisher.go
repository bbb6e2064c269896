package mqtt

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"xbmedge/agent/internal/clock"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/internal/gallery"
)

// Sender is what a Publisher needs of a Client.
type Sender interface {
	Event(topic string, encode func(seq uint64) ([]byte, error)) error
	State(topic string, payload []byte)
	Sample(topic string, payload []byte) bool
}

var (
	_ Sender             = (*Client)(nil)
	_ pipeline.Publisher = (*Publisher)(nil)
)

// Publisher writes what pipelines tell as the contract's payloads. Its methods may be called from several goroutines.
type Publisher struct {
	topics  Topics
	sender  Sender
	clock   *clock.Clock
	model   MatchModel
	gallery atomic.Pointer[MatchGallery]
}

// NewPublisher returns a publisher for one node. quant is the kind of numbers the model computes with, such as int8.
func NewPublisher(topics Topics, sender Sender, c *clock.Clock, g *gallery.Gallery, quant string) *Publisher {
	m := g.Model()
	p := &Publisher{
		topics: topics, sender: sender, clock: c,
		model: MatchModel{Name: m.Name, SHA: shortSHA(m.SHA256), Dim: m.Dim, Quant: quant, Space: m.Space()},
	}
	p.SetGallery(g)
	return p
}

// SetGallery says which gallery of the same model answers from now on.
func (p *Publisher) SetGallery(g *gallery.Gallery) {
	p.gallery.Store(&MatchGallery{Version: g.Revision(), N: g.Len()})
}

func shortSHA(sha string) string {
	return sha[:min(6, len(sha))]
}

// NewMatch returns an event's own part of the payload: all but the number, node, model and gallery.
func NewMatch(e *pipeline.Event) Match {
	m := Match{
		Schema: "match/1", EventType: string(e.Kind), Type: string(e.Type), EventID: e.ID, Camera: e.Camera,
		TS: unixSeconds(e.Time), Time: e.Time.UTC().Format("2006-01-02T15:04:05.000Z"),
		Identity: MatchIdentity{e.Identity.ID, e.Identity.Name},
		Score:    round4(e.Score), Margin: round4(e.Margin), Threshold: round4(e.Threshold), Known: e.Known, Frames: e.Frames,
		TopK: make([]MatchScore, 0, len(e.TopK)), Box: roundBox(e.Box),
		Latency: MatchLatency{milliseconds(e.Latency.Capture), milliseconds(e.Latency.Embed), milliseconds(e.Latency.Match)},
	}
	for _, c := range e.TopK {
		m.TopK = append(m.TopK, MatchScore{c.ID, round4(c.Score)})
	}
	return m
}

// Event queues a match event.
func (p *Publisher) Event(e *pipeline.Event) error {
	m, now := NewMatch(e), p.clock.At(e.Time)
	m.Node, m.Model, m.Gallery = p.topics.Node, p.model, *p.gallery.Load()
	m.Boot, m.Mono, m.Synced = now.Boot, now.Mono, now.Synced
	if e.Known {
		p.identity(&m)
	}
	return p.sender.Event(p.topics.Match(e.Camera), func(seq uint64) ([]byte, error) {
		m.Seq = seq
		payload, err := json.Marshal(m)
		if err != nil {
			return nil, fmt.Errorf("encode event: %w", err)
		}
		return payload, nil
	})
}

// identity sets when a known one was seen last.
func (p *Publisher) identity(m *Match) {
	i := Identity{
		Schema: "identity/1", Node: m.Node, ID: m.Identity.ID, Name: m.Identity.Name, Camera: m.Camera,
		Score: m.Score, LastSeen: m.TS, EventID: m.EventID,
	}
	if payload, err := json.Marshal(i); err == nil { // plain values: cannot fail
		p.sender.State(p.topics.Identity(i.ID), payload)
	}
}

// TellGallery sets what is enrolled. What the broker keeps of identities that were enrolled in before, nil for nothing,
// and are no longer, is removed.
func (p *Publisher) TellGallery(before, g *gallery.Gallery, at time.Time) {
	out := Gallery{
		Schema: "gallery/1", Node: p.topics.Node, Version: g.Revision(), N: g.Len(), Threshold: round4(g.Threshold()),
		Model: p.model, Identities: []GalleryIdentity{}, TS: unixSeconds(at),
	}
	there := map[string]bool{}
	for _, e := range g.Entries() {
		there[e.ID] = true
		out.Identities = append(out.Identities, GalleryIdentity{e.ID, e.Name, e.Vectors, e.Rejected, round4(e.Threshold)})
	}
	if payload, err := json.Marshal(out); err == nil { // plain values: cannot fail
		p.sender.State(p.topics.GalleryState(), payload)
	}
	if before == nil {
		return
	}
	for _, e := range before.Entries() {
		if !there[e.ID] {
			p.sender.State(p.topics.Identity(e.ID), nil)
		}
	}
}

// State sets who is in view of a camera.
func (p *Publisher) State(s *pipeline.State) {
	out := State{Schema: "state/1", Present: s.Present, Count: len(s.Present), Unknown: s.Unknown, TS: unixSeconds(s.Time)}
	if out.Present == nil {
		out.Present = []string{}
	}
	if e := s.Last; e != nil {
		out.Last = &StateLast{e.Identity.ID, e.Identity.Name, round4(e.Score), e.ID, unixSeconds(e.Time)}
	}
	if payload, err := json.Marshal(out); err == nil { // plain values: cannot fail
		p.sender.State(p.topics.State(s.Camera), payload)
	}
}

// Status says whether a camera gives frames.
func (p *Publisher) Status(camera string, on bool) {
	text := offline
	if on {
		text = online
	}
	p.sender.State(p.topics.CameraStatus(camera), []byte(text))
}

// Embedding sends a frame's embedding.
func (p *Publisher) Embedding(camera string, f *pipeline.Frame, embedding []float32) {
	e := Embedding{
		Schema: "embedding/1", Node: p.topics.Node, Camera: camera, Frame: f.Seq, TS: unixSeconds(f.Captured),
		Model: p.model.SHA,
	}
	e.encodeEmbedding(embedding)
	if payload, err := json.Marshal(e); err == nil { // plain values: cannot fail
		p.sender.Sample(p.topics.Embedding(camera), payload)
	}
}
