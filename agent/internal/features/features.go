// Package features keeps what is switched and set while an agent runs: for each camera the contract's features, over what
// the configuration says, and across restarts.
package features

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"

	"xbmedge/internal/atomicfile"
)

// The features of a camera.
const (
	Enabled           = "enabled"            // ON or OFF: whether the camera is read at all
	Recognition       = "recognition"        // ON or OFF: whether its frames are looked at
	Threshold         = "threshold"          // least score of a known thing; 0: the gallery's own
	FPS               = "fps"                // frames a second that are looked at, at most; 0: all
	PublishEmbeddings = "publish_embeddings" // ON or OFF
)

// Names returns the features.
func Names() []string { return []string{Enabled, Recognition, Threshold, FPS, PublishEmbeddings} }

// maxFPS is the greatest rate that a configuration may have, too.
const maxFPS = 1000

// Settings are the features of one camera.
type Settings struct {
	Enabled           bool
	Recognition       bool
	Threshold         float64
	FPS               float64
	PublishEmbeddings bool
}

// Text returns a feature's value as it is published.
func (s Settings) Text(feature string) string {
	switch feature {
	case Enabled:
		return onOff(s.Enabled)
	case Recognition:
		return onOff(s.Recognition)
	case Threshold:
		return number(s.Threshold)
	case FPS:
		return number(s.FPS)
	case PublishEmbeddings:
		return onOff(s.PublishEmbeddings)
	}
	return ""
}

// with returns the settings with a feature set to a value as it may be sent.
func (s Settings) with(feature, value string) (Settings, error) {
	var err error
	switch feature {
	case Enabled:
		s.Enabled, err = readSwitch(value)
	case Recognition:
		s.Recognition, err = readSwitch(value)
	case Threshold:
		s.Threshold, err = readNumber(value, 1)
	case FPS:
		s.FPS, err = readNumber(value, maxFPS)
	case PublishEmbeddings:
		s.PublishEmbeddings, err = readSwitch(value)
	default:
		return s, fmt.Errorf("%.64q is no feature; want one of %q", feature, Names())
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", feature, err)
	}
	return s, nil
}

func onOff(on bool) string {
	if on {
		return "ON"
	}
	return "OFF"
}

func number(x float64) string { return strconv.FormatFloat(math.Round(x*1e4)/1e4, 'f', -1, 64) }

func readSwitch(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "on", "true":
		return true, nil
	case "off", "false":
		return false, nil
	}
	return false, fmt.Errorf("%.64q; want ON or OFF", text)
}

func readNumber(text string, most float64) (float64, error) {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x >= 0 && x <= most) {
		return 0, fmt.Errorf("%.64q; want a number from 0 to %v", text, most)
	}
	return x, nil
}

// Store keeps what was set. Its methods may be called from several goroutines.
type Store struct {
	path string

	mu  sync.Mutex
	set map[string]map[string]string // camera, feature, value
}

// file is what is kept.
type file struct {
	Version int                          `json:"version"`
	Cameras map[string]map[string]string `json:"cameras"`
}

// Open reads what was kept. What cannot be read of it is told and forgotten: an agent starts all the same, as its
// configuration says.
func Open(path string, log *slog.Logger) *Store {
	s := &Store{path: path, set: map[string]map[string]string{}}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s
	}
	var f file
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err == nil && f.Version != 1 {
		err = fmt.Errorf("version %d; want 1", f.Version)
	}
	if err != nil {
		log.Error("features are as the configuration says: what was set before cannot be read", "file", path, "error", err)
		return s
	}
	for camera, values := range f.Cameras {
		kept := map[string]string{}
		for feature, value := range values {
			if _, err := (Settings{}).with(feature, value); err != nil {
				log.Error("a feature is as the configuration says", "file", path, "camera", camera, "error", err)
				continue
			}
			kept[feature] = value
		}
		s.set[camera] = kept
	}
	return s
}

// Over returns a camera's settings: what was set, and where nothing was, what the configuration says.
func (s *Store) Over(camera string, configured Settings) Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	for feature, value := range s.set[camera] {
		if changed, err := configured.with(feature, value); err == nil { // it was checked when it was set
			configured = changed
		}
	}
	return configured
}

// ErrNotKept says that a value holds until the next start only.
var ErrNotKept = errors.New("it holds until the next start only")

// Check returns what is wrong with a value, or nil.
func Check(feature, value string) error {
	_, err := (Settings{}).with(feature, value)
	return err
}

// Set sets a camera's feature and writes that down. With ErrNotKept it is set, and not written.
func (s *Store) Set(camera, feature, value string) error {
	if err := Check(feature, value); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set[camera] == nil {
		s.set[camera] = map[string]string{}
	}
	if s.set[camera][feature] == value {
		return nil
	}
	s.set[camera][feature] = value
	if err := atomicfile.WriteJSON(s.path, 0o600, file{1, s.set}); err != nil {
		return fmt.Errorf("%s of %s: %w: %w", feature, camera, ErrNotKept, err)
	}
	return nil
}
