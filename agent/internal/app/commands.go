package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"xbmedge/agent/internal/commands"
	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/features"
	"xbmedge/agent/internal/mqtt"
)

// Control says who carries out gallery commands that come over the broker, and how the agent takes over a changed
// configuration. It has to be called before Run.
func (a *App) Control(h control.Handler, reload func(context.Context) error) {
	a.desk.handler, a.desk.reload = h, reload
}

// desk carries out commands that come over the broker.
type desk struct {
	app     *App
	handler control.Handler // nil: none
	reload  func(context.Context) error
}

var _ commands.Node = (*desk)(nil)

// receive takes a message of the broker's. It does not wait.
func (a *App) receive(m mqtt.Message) {
	if camera, feature, known := a.topics.Command(m.Topic); known {
		a.commands.Receive(commands.Message{Camera: camera, Feature: feature, Payload: m.Payload, Retained: m.Retained})
		return
	}
	a.home.receive(m)
}

// Gallery implements commands.Node.
func (d *desk) Gallery(ctx context.Context, r *control.Request) (any, error) {
	if d.handler == nil {
		return nil, errors.New("this agent's gallery cannot be changed while it runs")
	}
	return d.handler.Handle(ctx, r)
}

// Reload implements commands.Node.
func (d *desk) Reload(ctx context.Context) error {
	if d.reload == nil {
		return errors.New("this agent cannot take over another configuration while it runs")
	}
	return d.reload(ctx)
}

// Reply implements commands.Node.
func (d *desk) Reply(r commands.Reply) {
	if payload, err := json.Marshal(r); err == nil { // plain values: cannot fail
		d.app.client.Notice(d.app.topics.GalleryReply(), payload)
	}
}

// Refused implements commands.Node. What the feature is set to is said again, for who shows what was asked for.
func (d *desk) Refused(camera, feature, code, why string) {
	set := d.app.atWork()
	st := set.stations[camera]
	if st == nil {
		camera = "" // it is whatever somebody wrote into a topic
	} else {
		set.tellFeatures(st, d.app.features.Over(st.id, st.configured))
	}
	msg := why
	if feature != "" {
		msg = fmt.Sprintf("%.64s/set: %s", feature, why)
	}
	d.app.notice(mqtt.Fault{Code: "refused_" + code, Msg: msg, Camera: camera})
}

// Set implements commands.Node.
func (d *desk) Set(camera, feature, value string) error {
	set := d.app.atWork()
	st := set.stations[camera]
	if st == nil {
		return fmt.Errorf("%.64q is no camera; want one of %q", camera, slices.Sorted(maps.Keys(set.stations)))
	}
	value = strings.TrimSpace(value)
	if err := features.Check(feature, value); err != nil {
		return err
	}
	if st.camera == nil && feature == features.Enabled && (features.Settings{Enabled: true}).Text(feature) == strings.ToUpper(value) {
		return fmt.Errorf("camera %s cannot be switched on: %w", camera, st.broken)
	}
	if err := d.app.features.Set(camera, feature, value); err != nil {
		d.app.log.Error("a feature is set, but not kept", "error", err)
		d.app.fault(mqtt.FaultNotKept, err.Error(), camera)
	}
	set.tellFeatures(st, set.apply(st))
	d.app.log.Info("feature set", "camera", camera, "feature", feature, "value", value)
	return nil
}

// tellFeatures says how a camera's features are set. A threshold that is the gallery's is told as what that is.
func (set *cameras) tellFeatures(st *station, s features.Settings) {
	set.mu.Lock()
	if s.Threshold == 0 && set.gallery.Load() != nil {
		s.Threshold = float64(set.gallery.Load().Threshold())
	}
	set.mu.Unlock()
	s.Enabled = s.Enabled && st.camera != nil
	for _, name := range features.Names() {
		set.app.client.State(set.app.topics.FeatureState(st.id, name), []byte(s.Text(name)))
	}
}
