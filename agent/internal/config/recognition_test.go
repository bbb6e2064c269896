package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/pipeline"
)

func TestRecognitionFaults(t *testing.T) {
	const regions = "cameras.clip.regions."
	for want, set := range map[string][]string{
		`cameras.clip.regions: kind "cloud" is not one of`:        {regions + "kind=cloud"},
		"cameras.clip.regions: 0 boxes; want 1 to 8":              {regions + "kind=boxes"},
		"there are boxes; want the kind boxes":                    {regions + "boxes=0 0 1 1"},
		`box "0.5 0.5"; want "left top width height"`:             {regions + "kind=boxes", regions + "boxes=0.5 0.5"},
		`"wide" is no number`:                                     {regions + "kind=boxes", regions + "boxes=0 0 wide 1"},
		"as shares of the picture, inside it":                     {regions + "kind=boxes", regions + "boxes=0 0 0.5 0.5, 0.6 0 0.6 1"},
		"kind detector needs a model":                             {regions + "kind=detector"},
		"want the kind detector":                                  {regions + "model=ssd.tflite"},
		"at most 9 regions; want 1 to 8":                          {regions + "max=9"},
		"max 0; want 1 or more":                                   {regions + "max=0"},
		"score 2; want 0 to 1":                                    {regions + "score=2"},
		"margin 3; want 0 to 1":                                   {regions + "margin=3"},
		"motion: level 0":                                         {"motion.level=0"},
		"motion: areas from 0.5 to 0.1":                           {"motion.min_area=0.5", "motion.max_area=0.1"},
		"gates: dark 100, bright 50; want bright above dark":      {"gates.dark=100", "gates.bright=50"},
		"gates: blur -1":                                          {"gates.blur=-1"},
		"track: margin 2":                                         {"track.margin=2"},
		"track: ratio 2":                                          {"track.ratio=2"},
		"track: similarity 1.5: want 0 (looks do not count) to 1": {"track.similarity=1.5"},
		"track: unknown after -1 frames":                          {"track.unknown_frames=-1"},
		"strangers.keep: 10001; want 0 (none) to 10000":           {"strangers.keep=10001"},
		"presence.detail: -1; want 0 or more":                     {"presence.detail=-1"},
		"cameras.clip.regions.knd: unknown key; did you mean":     {regions + "knd=boxes"},
	} {
		_, err := load(t, minimal, set...)
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "setting ", ""), want) {
			t.Errorf("%v: %v; want %q", set, err, want)
		}
	}
}

func TestRegionsReachThePipeline(t *testing.T) {
	c, err := load(t, minimal+"state_dir: /s\n", "cameras.clip.regions.kind=boxes", "cameras.clip.regions.boxes=0 0.25 0.5 0.5, 0.5 0 0.5 1",
		"mqtt.publish_embeddings=true", "track.dwell=1s")
	if err != nil {
		t.Fatal(err)
	}
	p := c.Pipeline("clip")
	want := pipeline.RegionConfig{Kind: pipeline.RegionBoxes, Boxes: []pipeline.Box{{0, 0.25, 0.5, 0.5}, {0.5, 0, 0.5, 1}}, Margin: 0.1, Max: 4}
	if diff := cmp.Diff(want, p.Regions); diff != "" {
		t.Errorf("regions (-want +got):\n%s", diff)
	}
	if !p.Gate || !p.Embeddings || p.Motion.Level != 12 || p.Quality.Size != 16 || p.Track.Dwell.Seconds() != 1 || p.Track.UnknownFrames != 6 {
		t.Errorf("pipeline %+v; want the gate, which the pipeline opens while embeddings are published", p)
	}
	if got := c.StrangersFile(); got != filepath.Join("/s", "strangers.json") {
		t.Errorf("strangers are kept in %s", got)
	}
}
