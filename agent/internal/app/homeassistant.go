package app

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"time"

	"xbmedge/agent/internal/board"
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/homeassistant"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/internal/cli"
	"xbmedge/internal/gallery"
)

// birthDelay bounds how long all is said again after Home Assistant has started: boards do not do so all at once.
const birthDelay = 3 * time.Second

// home keeps Home Assistant's picture of the node up to date.
type home struct {
	cfg    *config.Config
	client *mqtt.Client
	log    *slog.Logger

	births  chan struct{} // room for one: Home Assistant has started
	unsaved chan struct{} // room for one: told has changed

	mu      sync.Mutex
	node    homeassistant.Node
	told    homeassistant.Announced // also what was taken away
	saved   homeassistant.Announced // is in the file
	known   map[string]bool         // identities of the gallery at work
	crowded bool                    // there are more things than get a sensor, and that was said
}

// HomeNode is what Home Assistant is told of a configured node with a gallery, nil for one without things.
func HomeNode(cfg *config.Config, b *board.Board, g *gallery.Gallery) homeassistant.Node {
	_, heat := b.Temperature()
	n := homeassistant.Node{
		Prefix: cfg.HomeAssistant.Prefix, Topics: mqtt.Topics{Base: cfg.MQTT.Base, Node: cfg.Node}, Version: cli.Version(),
		Board: b.Model(), Heat: heat, Commands: cfg.MQTT.Commands, Pictures: cfg.MQTT.PublishSnapshots, Cameras: slices.Sorted(maps.Keys(cfg.Cameras)),
	}
	if g == nil {
		return n
	}
	for _, e := range g.Entries() { // sorted by id
		if len(n.Things) < cfg.HomeAssistant.Things {
			n.Things = append(n.Things, e.Identity)
		}
	}
	return n
}

// newHome has nothing sent yet. Its client is set before anything is announced.
func newHome(cfg *config.Config, log *slog.Logger) *home {
	h := &home{cfg: cfg, log: log, births: make(chan struct{}, 1), unsaved: make(chan struct{}, 1)}
	var err error
	if h.told, err = homeassistant.Load(cfg.AnnouncedFile()); err != nil {
		h.log.Warn("Home Assistant may show what is no longer there", "error", err)
	}
	h.saved = h.told
	return h
}

// topics are those that receive has to be given the messages of.
func (h *home) topics() []string {
	if !h.cfg.HomeAssistant.Enabled {
		return nil
	}
	return []string{homeassistant.BirthTopic(h.cfg.HomeAssistant.Prefix)}
}

// receive takes a message and does not wait.
func (h *home) receive(m mqtt.Message) {
	if m.Topic == homeassistant.BirthTopic(h.cfg.HomeAssistant.Prefix) && !m.Retained && string(m.Payload) == homeassistant.BirthOnline {
		poke(h.births) // a kept one is old: a connection begins with all said anyway
	}
}

func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has been told already
	}
}

// announce tells of the cameras of a configuration and of the things in a gallery.
func (h *home) announce(cfg *config.Config, b *board.Board, g *gallery.Gallery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.node = HomeNode(cfg, b, g)
	h.setThings(g)
	now := homeassistant.Announced{}
	if h.cfg.HomeAssistant.Enabled {
		now = h.node.Announced()
	}
	gone := h.told.Gone(now)
	if h.cfg.HomeAssistant.Enabled {
		messages, err := h.node.Devices(gone)
		if err != nil {
			h.log.Error("Home Assistant is not told what there is", "error", err)
			return
		}
		for _, m := range messages {
			h.client.State(m.Topic, m.Payload)
		}
	}
	for topic := range gone {
		if _, there := now[topic]; !there {
			h.client.Clear(topic, func() { h.forget(topic) })
		}
	}
	h.told = now.With(gone)
	poke(h.unsaved)
}

// setThings takes away what was told of things that are gone. The caller holds the lock.
func (h *home) setThings(g *gallery.Gallery) {
	before := h.known
	if before == nil { // the first: those of the last time
		before = map[string]bool{}
		for _, components := range h.told {
			for key := range components {
				if id, ok := homeassistant.Seen(key); ok {
					before[id] = true
				}
			}
		}
	}
	h.known = map[string]bool{}
	for _, e := range g.Entries() {
		h.known[e.ID] = true
	}
	for id := range before {
		if !h.known[id] && id != gallery.UnknownID {
			h.client.Clear(h.node.Topics.Identity(id), nil)
			h.client.Clear(h.node.Topics.IdentitySnapshot(id), nil)
		}
	}
	crowded := h.cfg.HomeAssistant.Enabled && len(h.node.Things) < len(h.known) && h.cfg.HomeAssistant.Things > 0
	if crowded && !h.crowded {
		h.log.Warn("not all things get a sensor in Home Assistant; homeassistant.things is the limit",
			"things", len(h.known), "sensors", len(h.node.Things))
	}
	h.crowded = crowded
}

// forget is called when a device has been taken away.
func (h *home) forget(topic string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, announcedAgain := h.node.Announced()[topic]; announcedAgain && h.cfg.HomeAssistant.Enabled {
		return
	}
	delete(h.told, topic)
	poke(h.unsaved)
}

// run answers Home Assistant's starts and keeps the file until ctx ends; told is called some time after a start.
func (h *home) run(ctx context.Context, told func()) {
	for {
		select {
		case <-h.unsaved:
			h.save()
		case <-h.births:
			wait := time.NewTimer(rand.N(birthDelay))
			select {
			case <-wait.C:
				h.log.Info("Home Assistant has started; it is told all again")
				h.client.Restate()
				told()
			case <-ctx.Done():
				wait.Stop()
			}
		case <-ctx.Done():
			h.save()
			return
		}
	}
}

func (h *home) save() {
	h.mu.Lock()
	told := h.told.With(nil)
	h.mu.Unlock()
	if reflect.DeepEqual(told, h.saved) { // the usual start: no wear
		return
	}
	if err := told.Save(h.cfg.AnnouncedFile()); err != nil {
		h.log.Warn("what Home Assistant was told is not kept: what goes before the next start may stay there", "error", err)
		return
	}
	h.saved = told
}
