package pipeline

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/gallery"
)

// play runs a string of frames, one a character, 10 ms apart: a letter is that identity with score 0.60 (upper case
// 0.80), ? unknown, . nothing. It returns "frame:type kind identity frames" for each event.
func play(t *testing.T, cfg TrackConfig, live bool, film string) []string {
	t.Helper()
	n := 0
	tr := newTracker(cfg, live, func(time.Time) string { n++; return fmt.Sprint("e", n) }, nil)
	start := time.Now()
	var out []string
	for i, c := range film {
		d := stranger(0.3)
		if c != '?' && c != '.' {
			d = known(strings.ToLower(string(c)), 0.6)
			if c < 'a' {
				d.Score = 0.8
			}
		}
		at := start.Add(time.Duration(i) * 10 * time.Millisecond)
		var seen []sighting
		if c != '.' {
			seen = append(seen, sight(at, d))
		}
		for _, e := range tr.see(at, seen) {
			out = append(out, fmt.Sprintf("%d:%s %s %s %s %d %.1f", i, e.Type, e.Kind, e.Identity.ID, e.ID, e.Frames, e.Score))
		}
	}
	return out
}

// sight is a sighting of the whole picture.
func sight(at time.Time, d gallery.Decision) sighting {
	s := sighting{decision: d, present: true}
	s.fill(at, whole(), Latency{})
	return s
}

func TestTracker(t *testing.T) {
	tests := []struct {
		name, film string
		live       bool
		want       []string
	}{
		{"nothing", "........", false, nil},
		{"too short", "..aa....aa..", false, nil},
		{"comes and goes", "aaaa....", false, []string{"2:new recognized a e1 3 0.6", "7:end left a e1 4 0.6"}},
		{"majority, not in a row", "a.a.a", false, []string{"4:new recognized a e1 3 0.6"}},
		{"a slip does not end it", "aaaba.aaa", false, []string{"2:new recognized a e1 3 0.6"}},
		{"better", "aaaAAA", false, []string{"2:new recognized a e1 3 0.6", "3:update recognized a e1 4 0.8"}},
		{"best of the first frames", "aAa", false, []string{"2:new recognized a e1 3 0.8"}},
		{"another takes over", "aaaabbbb", false, []string{"2:new recognized a e1 3 0.6", "6:end left a e1 4 0.6", "6:new recognized b e2 3 0.6"}},
		{"unknown", "???....", false, []string{"2:new unknown unknown e1 3 0.3", "6:end left unknown e1 3 0.3"}},
		{"a known one takes over from unknown", "????aaa", false, []string{"2:new unknown unknown e1 3 0.3", "6:end left unknown e1 4 0.3", "6:new recognized a e2 3 0.6"}},
		{"unknown waits as long as it was known", "aaa????", false, []string{"2:new recognized a e1 3 0.6", "5:end left a e1 3 0.6", "5:new unknown unknown e2 3 0.3"}},
		{"a thing turned around stays", "aaa??a??a??a", false, []string{"2:new recognized a e1 3 0.6"}},
		{"comes back", "aaa....aaa", false, []string{"2:new recognized a e1 3 0.6", "6:end left a e1 3 0.6", "9:new recognized a e2 3 0.6"}},
		{"live: the hold time counts too", "aaa.....", true, []string{"2:new recognized a e1 3 0.6", "7:end left a e1 3 0.6"}},
		{"live: not before", "aaa....", true, []string{"2:new recognized a e1 3 0.6"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, play(t, tracking(), tt.live, tt.film)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTrackerUpdateInterval(t *testing.T) {
	cfg := tracking()
	cfg.UpdateInterval = 45 * time.Millisecond
	want := []string{"2:new recognized a e1 3 0.6", "7:update recognized a e1 8 0.8"}
	if diff := cmp.Diff(want, play(t, cfg, true, "aaaAAAAA")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestTrackerState(t *testing.T) {
	tr := newTracker(tracking(), false, func(time.Time) string { return "e" }, nil)
	see := func(d gallery.Decision, present bool, times int) State {
		for range times {
			var seen []sighting
			if present {
				seen = append(seen, sight(time.Now(), d))
			}
			tr.see(time.Now(), seen)
		}
		return tr.state(time.Now())
	}
	if s := tr.state(time.Now()); s.Last != nil || len(s.Present) != 0 || s.Unknown != 0 {
		t.Errorf("at first: %+v", s)
	}
	if s := see(known("a", 0.6), true, 3); len(s.Present) != 1 || s.Present[0] != "a" || s.Unknown != 0 || s.Last.Identity.ID != "a" {
		t.Errorf("with a: %+v", s)
	}
	if s := see(stranger(0), true, 5); len(s.Present) != 0 || s.Unknown != 1 || s.Last.Kind != Unknown {
		t.Errorf("with an unknown: %+v", s)
	}
	if s := see(stranger(0), false, 5); len(s.Present) != 0 || s.Unknown != 0 || s.Last.Kind != Unknown {
		t.Errorf("with nothing: %+v", s)
	}
}

func TestTrackConfigCheck(t *testing.T) {
	for name, change := range map[string]func(*TrackConfig){
		"no frames":    func(c *TrackConfig) { c.MinFrames = 0 },
		"small window": func(c *TrackConfig) { c.Window = 2 },
		"huge window":  func(c *TrackConfig) { c.Window = 65 },
		"no hold":      func(c *TrackConfig) { c.HoldFrames = 0 },
		"no gain":      func(c *TrackConfig) { c.UpdateGain = 0 },
	} {
		c := tracking()
		change(&c)
		if c.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := tracking().Check(); err != nil {
		t.Error(err)
	}
}

func TestEventID(t *testing.T) {
	at := time.Unix(1718987129, 308396000)
	a, b := NewEventID(at, rand.IntN), NewEventID(at, rand.IntN)
	if !strings.HasPrefix(a, "1718987129.308396-") || len(a) != len("1718987129.308396-fqk5ka") || a == b {
		t.Errorf("ids %q and %q", a, b)
	}
}
