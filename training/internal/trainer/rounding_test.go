package trainer

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRoundedRun: a run with rounding learns, resumes to the same state, and leaves the ranges of its layers.
func TestRoundedRun(t *testing.T) {
	needTFLite(t)
	data := drawings(t, 6, 8)
	cfg := frozenConfig(t, data)
	cfg.Network.Trunk, cfg.Network.Round, cfg.Network.RoundStart = trunkFloat, true, 5
	d := Description{Data: data, Config: cfg}
	whole, stopped := wholeAndStopped(t, d)
	log := slog.New(slog.DiscardHandler)
	if _, err := Resume(t.Context(), stopped, "", nil, &silent{}, log); err != nil {
		t.Fatal(err)
	}
	state := readState(t, whole)
	if diff := cmp.Diff(state, readState(t, stopped)); diff != "" {
		t.Error("the state differs after the interruption")
	}
	raw, err := os.ReadFile(filepath.Join(whole, RangesFile))
	if err != nil {
		t.Fatal(err)
	}
	ranges := map[string][2]float32{}
	if err := json.Unmarshal(raw, &ranges); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{cfg.Network.Freeze, "embedding"} {
		if r, ok := ranges[name]; !ok || !(r[1] > 0) || r[0] > r[1] {
			t.Errorf("the range of %s is %v, of %v", name, r, ranges)
		}
	}
	cfg.Network.RoundStart = 1000
	late := filepath.Join(t.TempDir(), "late")
	if _, err := Start(t.Context(), Description{Data: data, Config: cfg}, late, &silent{}, log); err != nil {
		t.Fatal(err)
	}
	cfg.Network.Round = false
	without := filepath.Join(t.TempDir(), "without")
	if _, err := Start(t.Context(), Description{Data: data, Config: cfg}, without, &silent{}, log); err != nil {
		t.Fatal(err)
	}
	weight := func(run string) []float32 { return readState(t, run)["/weights/embedding.weight"].Data }
	if diff := cmp.Diff(weight(without), weight(late)); diff != "" {
		t.Error("rounding counts before its first step")
	}
	if cmp.Equal(weight(without), weight(whole)) {
		t.Error("rounding changes nothing")
	}
}
