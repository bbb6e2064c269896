package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"xbmedge/agent/internal/motion"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/agent/internal/strangers"
)

// Track turns frames into events; see pipeline.TrackConfig.
type Track struct {
	Window         int           `yaml:"window"`
	MinFrames      int           `yaml:"min_frames"`
	UnknownFrames  int           `yaml:"unknown_frames"`
	Margin         float64       `yaml:"margin"`
	Ratio          float64       `yaml:"ratio"`
	Dwell          time.Duration `yaml:"dwell"`
	Similarity     float64       `yaml:"similarity"`
	HoldFrames     int           `yaml:"hold_frames"`
	Hold           time.Duration `yaml:"hold"`
	UpdateGain     float64       `yaml:"update_gain"`
	UpdateInterval time.Duration `yaml:"update_interval"`
}

// Presence tells unknown things from nothing; see pipeline.PresenceConfig.
type Presence struct {
	Detail float64 `yaml:"detail"`
	Change float64 `yaml:"change"`
}

// Motion says what counts as movement; see motion.Config.
type Motion struct {
	Gate    bool    `yaml:"gate"` // nothing moved, nothing embedded
	Level   float64 `yaml:"level"`
	MinArea float64 `yaml:"min_area"`
	MaxArea float64 `yaml:"max_area"`
}

// Gates keep pictures that are no use from the model; see pipeline.GateConfig.
type Gates struct {
	Blur   float64 `yaml:"blur"`
	Size   int     `yaml:"size"`
	Dark   float64 `yaml:"dark"`
	Bright float64 `yaml:"bright"`
}

// Strangers says how many unknown things are remembered; see the package of that name.
type Strangers struct {
	Keep int `yaml:"keep"` // 0: none, they are all called unknown
}

// Regions says where a camera looks; see pipeline.RegionConfig.
type Regions struct {
	Kind   string   `yaml:"kind"`
	Boxes  []string `yaml:"boxes"` // each "left top width height", shares of the picture
	Margin float64  `yaml:"margin"`
	Max    int      `yaml:"max"`
	Model  string   `yaml:"model"` // of the kind detector
	Score  float64  `yaml:"score"` // least of what it finds
}

func defaultRegions() Regions {
	return Regions{Kind: string(pipeline.RegionWhole), Boxes: []string{}, Margin: 0.1, Max: 4, Score: 0.5}
}

// check returns what is wrong, or nil.
func (r *Regions) check() error {
	p, err := r.pipeline()
	if err != nil {
		return err
	}
	detector := p.Kind == pipeline.RegionDetector
	switch {
	case detector && r.Model == "":
		return errors.New("kind detector needs a model: name the .tflite file")
	case !detector && r.Model != "":
		return fmt.Errorf("a model, but the kind is %s; want the kind detector", r.Kind)
	case !(r.Score >= 0 && r.Score <= 1):
		return fmt.Errorf("score %v; want 0 to 1", r.Score)
	case r.Max < 1:
		return fmt.Errorf("max %d; want 1 or more", r.Max)
	}
	return p.Check()
}

// pipeline reads the boxes.
func (r *Regions) pipeline() (pipeline.RegionConfig, error) {
	out := pipeline.RegionConfig{Kind: pipeline.RegionKind(r.Kind), Margin: r.Margin, Max: r.Max}
	for _, text := range r.Boxes {
		words := strings.Fields(text)
		var box pipeline.Box
		if len(words) != len(box) {
			return out, fmt.Errorf("box %q; want \"left top width height\" as shares of the picture, such as \"0.1 0.2 0.5 0.5\"", text)
		}
		for i, word := range words {
			var err error
			if box[i], err = strconv.ParseFloat(word, 64); err != nil {
				return out, fmt.Errorf("box %q: %q is no number", text, word)
			}
		}
		out.Boxes = append(out.Boxes, box)
	}
	return out, nil
}

// validateRecognition reports what is wrong with how frames become events.
func (c *Config) validateRecognition(check func(key string, err error)) {
	p := c.Pipeline("")
	check("track", p.Track.Check())
	check("gates", p.Quality.Check())
	check("motion", motion.Config{Level: c.Motion.Level, MinArea: c.Motion.MinArea, MaxArea: c.Motion.MaxArea}.Check())
	if c.Presence.Detail < 0 {
		check("presence.detail", fmt.Errorf("%v; want 0 or more", c.Presence.Detail))
	}
	if c.Presence.Change < 0 {
		check("presence.change", fmt.Errorf("%v; want 0 or more", c.Presence.Change))
	}
	if k := c.Strangers.Keep; k < 0 || k > strangers.MaxKeep {
		check("strangers.keep", fmt.Errorf("%d; want 0 (none) to %d", k, strangers.MaxKeep))
	}
}

// Pipeline returns the settings of a camera's pipeline. Its regions have been checked.
func (c *Config) Pipeline(id string) pipeline.Config {
	cam := c.Cameras[id]
	regions, err := cam.Regions.pipeline()
	if err != nil {
		regions = pipeline.RegionConfig{} // Validate has told
	}
	return pipeline.Config{
		Camera: id, Live: cam.Source().Live(), FPS: cam.FPS, BackoffMax: longestPause, Regions: regions,
		Motion:  motion.Config{Level: c.Motion.Level, MinArea: c.Motion.MinArea, MaxArea: c.Motion.MaxArea},
		Gate:    c.Motion.Gate,
		Quality: pipeline.GateConfig(c.Gates),
		Track: pipeline.TrackConfig{
			Window: c.Track.Window, MinFrames: c.Track.MinFrames, UnknownFrames: c.Track.UnknownFrames, Margin: float32(c.Track.Margin), Ratio: float32(c.Track.Ratio), Dwell: c.Track.Dwell,
			HoldFrames: c.Track.HoldFrames, Hold: c.Track.Hold, Similarity: float32(c.Track.Similarity),
			UpdateGain: float32(c.Track.UpdateGain), UpdateInterval: c.Track.UpdateInterval,
		},
		Presence:   pipeline.PresenceConfig{Detail: c.Presence.Detail, Change: c.Presence.Change},
		Embeddings: c.MQTT.PublishEmbeddings, Candidates: c.MQTT.PublishCandidates,
	}
}

// StrangersFile is where strangers are kept.
func (c *Config) StrangersFile() string { return filepath.Join(c.StateDir, "strangers.json") }
