// Package clip knows the clips a recogniser is tried on: a file of JPEGs one after another, and an index of what each
// stretch of it shows. It makes clips from photos and scores what an agent said of a clip.
package clip

import (
	"encoding/json"
	"fmt"
	"os"

	"xbmedge/internal/atomicfile"
)

// Kinds of segments.
const (
	Enrolled = "enrolled" // a thing the gallery knows
	Stranger = "stranger" // a thing it does not
	Empty    = "empty"    // nothing
)

// Index says what a clip shows.
type Index struct {
	Schema   int       `json:"schema"` // 1
	Width    int       `json:"width"`
	Height   int       `json:"height"`
	FPS      int       `json:"fps"`
	Frames   int       `json:"frames"`
	Segments []Segment `json:"segments"`
}

// Segment is a stretch of a clip that shows one thing, or nothing.
type Segment struct {
	First int    `json:"first"` // frame, from 0
	Last  int    `json:"last"`  // frame, included
	Class string `json:"class"` // "" when empty
	Kind  string `json:"kind"`
}

// Append adds a segment of that many frames at the end.
func (x *Index) Append(frames int, class, kind string) {
	x.Segments = append(x.Segments, Segment{First: x.Frames, Last: x.Frames + frames - 1, Class: class, Kind: kind})
	x.Frames += frames
}

// Write writes the index as JSON.
func (x *Index) Write(path string) error { return atomicfile.WriteJSON(path, 0o644, x) }

// ReadIndex reads what Write wrote.
func ReadIndex(path string) (*Index, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read clip index: %w", err)
	}
	x := &Index{}
	if err := json.Unmarshal(text, x); err != nil {
		return nil, fmt.Errorf("clip index %s: %w", path, err)
	}
	return x, nil
}
