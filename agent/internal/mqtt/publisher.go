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
	Picture(topic string, payload []byte)
	Sample(topic string, payload []byte) bool
}

var (
	_ Sender             = (*Client)(nil)
	_ pipeline.Publisher = (*Publisher)(nil)
)

// Publisher writes what pipelines tell as the contract's payloads. Its methods may be called from several goroutines.
type Publisher struct {
	topics   Topics
	sender   Sender
	clock    *clock.Clock
	pictures bool
	model    MatchModel
	gallery  atomic.Pointer[asked]
}

// asked is what a publisher has to know of the gallery at work.
type asked struct {
	MatchGallery
	names map[string]string // by id
}

// NewPublisher returns a publisher for one node. quant is the kind of numbers the model computes with, such as int8;
// pictures says whether events are also shown as snapshots.
func NewPublisher(topics Topics, sender Sender, c *clock.Clock, g *gallery.Gallery, quant string, pictures bool) *Publisher {
	m := g.Model()
	p := &Publisher{
		topics: topics, sender: sender, clock: c, pictures: pictures,
		model: MatchModel{Name: m.Name, SHA: shortSHA(m.SHA256), Dim: m.Dim, Quant: quant, Space: m.Space()},
	}
	p.SetGallery(g)
	return p
}

// SetGallery says which gallery of the same model answers from now on.
func (p *Publisher) SetGallery(g *gallery.Gallery) {
	a := &asked{MatchGallery{Version: g.Revision(), N: g.Len()}, map[string]string{}}
	for _, e := range g.Entries() {
		a.names[e.ID] = e.Name
	}
	p.gallery.Store(a)
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

// Event queues a match event, and tells when its identity was seen and what it looked like.
func (p *Publisher) Event(e *pipeline.Event) error {
	m, now := NewMatch(e), p.clock.At(e.Time)
	m.Node, m.Model, m.Gallery = p.topics.Node, p.model, p.gallery.Load().MatchGallery
	m.Boot, m.Mono, m.Synced = now.Boot, now.Mono, now.Synced
	of := gallery.UnknownID // one topic for all that is unknown, whatever stranger it is
	if e.Known {
		of = e.Identity.ID
	}
	if _, enrolled := p.gallery.Load().names[of]; enrolled || !e.Known { // what was removed while in view leaves nothing behind
		p.identity(of, &m)
		p.show(of, e)
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

// identity sets when an identity, or something unknown, was seen last.
func (p *Publisher) identity(of string, m *Match) {
	i := Identity{
		Schema: "identity/1", Node: m.Node, ID: m.Identity.ID, Name: m.Identity.Name, Camera: m.Camera,
		Score: m.Score, LastSeen: m.TS, EventID: m.EventID,
	}
	if payload, err := json.Marshal(i); err == nil { // plain values: cannot fail
		p.sender.State(p.topics.Identity(of), payload)
	}
}

// show sets the pictures of an event's camera and identity. An end has none.
func (p *Publisher) show(of string, e *pipeline.Event) {
	if !p.pictures || e.Picture.Pix == nil {
		return
	}
	picture, err := encodeSnapshot(e.Picture)
	if err != nil { // the model took it: it is a picture
		return
	}
	p.sender.Picture(p.topics.Snapshot(e.Camera), picture)
	p.sender.Picture(p.topics.IdentitySnapshot(of), picture)
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
	names := p.gallery.Load().names
	out.Names = make([]string, 0, len(out.Present))
	for _, id := range out.Present {
		name := names[id]
		if name == "" { // it has just been removed
			name = id
		}
		out.Names = append(out.Names, name)
	}
	if e := s.Last; e != nil {
		out.Last = &StateLast{e.Identity.ID, e.Identity.Name, round4(e.Score), e.ID, unixSeconds(e.Time)}
	}
	if payload, err := json.Marshal(out); err == nil { // plain values: cannot fail
		p.sender.State(p.topics.State(s.Camera), payload)
	}
}

// Model says which model is at work. There is no newer one: the agent looks for none.
func (p *Publisher) Model() {
	version := p.model.Name + " " + p.model.SHA
	if payload, err := json.Marshal(Update{version, version, "Model"}); err == nil { // plain values: cannot fail
		p.sender.State(p.topics.Update(), payload)
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

// Candidate sends a near miss. d has at least one identity.
func (p *Publisher) Candidate(camera string, f *pipeline.Frame, d *gallery.Decision, box pipeline.Box) {
	best := d.TopK[0]
	c := Candidate{
		Schema: "candidate/1", Node: p.topics.Node, Camera: camera, Frame: f.Seq, TS: unixSeconds(f.Captured),
		Identity: MatchIdentity{best.ID, best.Name}, Score: round4(best.Score), Margin: round4(d.Margin), Threshold: round4(d.Threshold),
		TopK: make([]MatchScore, 0, len(d.TopK)), Box: roundBox(box), Model: p.model.SHA,
	}
	for _, k := range d.TopK {
		c.TopK = append(c.TopK, MatchScore{k.ID, round4(k.Score)})
	}
	if payload, err := json.Marshal(c); err == nil { // plain values: cannot fail
		p.sender.Sample(p.topics.Candidate(camera), payload)
	}
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
