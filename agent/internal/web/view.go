package web

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"xbmedge/agent/internal/health"
	"xbmedge/agent/internal/stats"
	"xbmedge/internal/gallery"
)

const (
	shownEvents    = 24
	shownStrangers = 12
	shownThings    = 200
	shownPictures  = 24 // of one thing
	// alike is the share of the threshold from which on a stranger may well be the thing it is most like.
	alike = 0.75
)

// view is what the templates are given. Only what the part needs is filled in; all of it for the whole page, but for the
// thresholds' scores, which take their time.
type view struct {
	Node, CSRF string
	Token      bool // one had to be given
	Cameras    []string
	Names      []string // of enrolled things
	Events     []eventView
	Strangers  []strangerView
	Unseen     int // strangers that are not shown
	More       int // things that are not shown
	NoIDs      bool
	Things     []thingView
	Thresholds thresholds
	Health     healthView
}

type eventView struct {
	event
	Title   string
	Picture bool
}

type strangerView struct {
	ID    string
	Event *eventView // the latest that told of it, with a picture
	Like  string     // name of the thing it is most like, "" for none
}

type thingView struct {
	gallery.Entry
	Pictures []gallery.Record
	Wrong    []gallery.Record
	Left     int // pictures that are not shown
}

// view gathers what a part shows; "" stands for the whole page.
func (s *Server) view(session, part string) *view {
	v := &view{Node: s.parts.Node, CSRF: s.access.csrf(session), Token: s.parts.Token != ""}
	g := s.parts.Gallery()
	entries := g.Entries()
	names := map[string]string{}
	for _, e := range entries {
		names[e.ID] = e.Name
		v.Names = append(v.Names, e.Name)
	}
	is := func(p string) bool { return part == "" || part == p }
	if is("cameras") || is("health") {
		now := s.parts.Stats()
		v.Cameras = slices.Sorted(maps.Keys(now.Cameras))
		v.Health = healthView{now, s.parts.Stages()}
	}
	if is("events") || is("strangers") {
		v.Events = s.events()
	}
	if is("strangers") {
		v.strangers(s.parts.Strangers(), names)
	}
	v.Events = v.Events[:min(len(v.Events), shownEvents)]
	if is("things") {
		v.things(g, entries)
	}
	if part == "thresholds" {
		v.Thresholds = s.spread.look(g)
	}
	return v
}

func (s *Server) events() []eventView {
	var events []eventView
	for _, e := range s.parts.Scene.latest() {
		events = append(events, eventView{e, title(e.Identity, e.Known), e.picture.Pix != nil})
	}
	return events
}

// strangers lists the remembered ones of whom there is a picture, seen last first: nobody can name what they do not see.
func (v *view) strangers(ids []string, names map[string]string) {
	v.NoIDs = ids == nil
	for _, id := range ids {
		at := slices.IndexFunc(v.Events, func(e eventView) bool { return e.Identity.ID == id && e.Picture })
		if at < 0 || len(v.Strangers) == shownStrangers {
			v.Unseen++
			continue
		}
		e := &v.Events[at]
		like := ""
		if e.Score >= alike*e.Threshold {
			like = names[e.Nearest.ID]
		}
		v.Strangers = append(v.Strangers, strangerView{id, e, like})
	}
}

func (v *view) things(g *gallery.Gallery, entries []gallery.Entry) {
	slices.SortStableFunc(entries, func(a, b gallery.Entry) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	v.More = max(0, len(entries)-shownThings)
	for _, e := range entries[:len(entries)-v.More] {
		t := thingView{Entry: e}
		own, wrong, err := g.Records(e.ID)
		if err == nil { // the entry is of the same gallery
			slices.Reverse(own) // the latest first
			t.Left = max(0, len(own)-shownPictures)
			t.Pictures, t.Wrong = own[:len(own)-t.Left], wrong[:min(len(wrong), shownPictures)]
		}
		v.Things = append(v.Things, t)
	}
}

// title is what something is called on the page.
func title(i gallery.Identity, known bool) string {
	if !known {
		return i.ID
	}
	return i.Name
}

// Clock returns an event's time of day.
func (e eventView) Clock() string { return e.Time.Local().Format("15:04:05") }

// healthView is a reading for people.
type healthView struct {
	stats.Stats
	Stages []health.State
}

// Tile is one fact; Bad ones are marked.
type Tile struct {
	Name, Value string
	Bad         bool
}

// Tiles returns the facts of the whole agent.
func (h healthView) Tiles() []Tile {
	broker := Tile{"broker", "connected", false}
	if !h.Connected {
		broker = Tile{"broker", "away", true}
	}
	tiles := []Tile{
		broker,
		{"events that wait", fmt.Sprint(h.Queue), !h.Connected && h.Queue > 0},
		{"events lost", fmt.Sprint(h.Dropped), h.Dropped > 0},
		{"frames a second", fmt.Sprintf("%.1f", h.FPS), h.FPS == 0},
		{"model, half of the frames", fmt.Sprintf("%.1f ms", h.EmbedP50), false},
		{"memory", megabytes(h.RSS), false},
	}
	if h.Temperature != nil {
		tiles = append(tiles, Tile{"temperature", fmt.Sprintf("%.0f °C", *h.Temperature), h.Share < 1})
	}
	if h.Share < 1 {
		tiles = append(tiles, Tile{"looks at", fmt.Sprintf("%.0f %% of the frames", 100*h.Share), true})
	}
	if h.UnderVoltage {
		tiles = append(tiles, Tile{"power supply", "too weak", true})
	}
	return append(tiles, Tile{"runs for", (time.Duration(h.Uptime) * time.Second).String(), false})
}

// quiet is the silence of a stage from which on it is marked: they all beat at least once a second.
const quiet = 10 * time.Second

// StageTiles returns how long each stage has been silent.
func (h healthView) StageTiles() []Tile {
	var tiles []Tile
	for _, s := range h.Stages {
		said := "alive"
		if s.Silent > quiet {
			said = "silent for " + s.Silent.Round(time.Second).String()
		}
		tiles = append(tiles, Tile{s.Name, said, s.Silent > quiet})
	}
	slices.SortFunc(tiles, func(a, b Tile) int { return strings.Compare(a.Name, b.Name) })
	return tiles
}
