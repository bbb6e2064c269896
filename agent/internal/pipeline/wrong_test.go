package pipeline

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A name that has become wrong is told for three frames at most, however long it was right and however long it may be held.
func TestAWrongNameLastsThreeFrames(t *testing.T) {
	a, b := look{0.4, 0, "a"}, look{0.4, 25, "b"}
	turned, swapped, other := look{0.4, 25, ""}, look{0.4, 65, ""}, look{0.4, 80, ""}
	long := repeat(40, a)
	for _, tt := range []struct {
		name   string
		frames [][]look
		want   []string
	}{
		{
			"another known thing that looks alike: three frames of it are enough, whatever was seen before",
			slices.Concat(long, repeat(6, b)),
			[]string{"2:new a e1", "42:end a e1", "42:new b e2", "end:b e2"},
		},
		{
			"a stranger that looks a little like it comes at once",
			slices.Concat(long, repeat(12, swapped)),
			[]string{"2:new a e1", "42:end a e1", "42:new unknown e2", "end:unknown e2"},
		},
		{
			"a stranger that looks unlike it, too, before it is told itself",
			slices.Concat(long, repeat(12, other)),
			[]string{"2:new a e1", "42:end a e1", "45:new unknown e2", "end:unknown e2"},
		},
		{
			"what turns around keeps its name while it may",
			slices.Concat(long, repeat(12, turned), repeat(3, a)),
			[]string{"2:new a e1", "end:a e1"},
		},
		{
			"another thing for two frames only",
			slices.Concat(long, repeat(2, other), long),
			[]string{"2:new a e1", "end:a e1"},
		},
		{
			"now another known one, now unknown, and never the first again",
			slices.Concat(long, slices.Repeat(slices.Concat(repeat(1, b), repeat(1, turned)), 2), repeat(5, turned)),
			[]string{"2:new a e1", "42:end a e1", "44:new unknown e2", "end:unknown e2"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := TrackConfig{Window: 9, MinFrames: 3, UnknownFrames: 6, HoldFrames: 30, UpdateGain: 1, Similarity: 0.75}
			if diff := cmp.Diff(tt.want, stage(cfg, nil, tt.frames)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// Scores on the threshold itself prove less than those well above it: a name takes more of them.
func TestUnclearNamesTakeMoreFrames(t *testing.T) {
	for _, tt := range []struct {
		score  float32 // the threshold is 0.5
		frames int     // until the name is told
	}{{0.7, 3}, {0.6, 3}, {0.53, 3}, {0.51, 4}, {0.5, 4}} {
		t.Run(fmt.Sprint(tt.score), func(t *testing.T) {
			tr := newTracker(TrackConfig{Window: 5, MinFrames: 3, HoldFrames: 9, UpdateGain: 1}, false, func(time.Time) string { return "e" }, nil)
			for i := 1; i <= 6; i++ {
				at := time.Unix(int64(i), 0)
				out := tr.see(at, []sighting{sight(at, known("a", tt.score))})
				if (len(out) > 0) != (i == tt.frames) {
					t.Errorf("frame %d: %d events, want one at frame %d", i, len(out), tt.frames)
				}
			}
		})
	}
	all := TrackConfig{Window: 4, MinFrames: 4}
	if got := all.clear(); got != 2 {
		t.Errorf("all frames of the window have to be %v clear; frames on the threshold, which are 2, could never", got)
	}
}
