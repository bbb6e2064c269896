// Package results writes the outcome of every processed frame to a file, so that it can be scored against what is
// known to be in a clip.
package results

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"

	"xbmedge/agent/internal/pipeline"
	"xbmedge/internal/gallery"
)

// None is the label of a frame that shows nothing.
const None = "none"

// Line is one frame.
type Line struct {
	Camera   string  `json:"camera"`
	Seq      uint64  `json:"seq"`      // the frame's number, from 1
	Identity string  `json:"identity"` // id of a known thing, "unknown" or "none"
	Score    float64 `json:"score"`    // best cosine with any identity, known or not
	Margin   float64 `json:"margin"`   // to the runner-up
	Nearest  string  `json:"nearest"`  // id of the most similar identity, known or not
	Track    string  `json:"track"`    // the same as identity, decided over several frames
}

// File takes results, from several goroutines.
type File struct {
	mu      sync.Mutex
	file    *os.File
	buffer  *bufio.Writer
	encoder *json.Encoder
}

var _ pipeline.Results = (*File)(nil)

// Create makes or empties the file.
func Create(path string) (*File, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create results: %w", err)
	}
	buffer := bufio.NewWriter(file)
	return &File{file: file, buffer: buffer, encoder: json.NewEncoder(buffer)}, nil
}

// Frame adds a line.
func (f *File) Frame(r pipeline.Result) error {
	l := Line{Camera: r.Camera, Seq: r.Seq, Identity: None, Score: round(r.Decision.Score), Margin: round(r.Decision.Margin), Track: r.Track}
	switch {
	case r.Decision.Known:
		l.Identity = r.Decision.Identity.ID
	case r.Present:
		l.Identity = gallery.UnknownID
	}
	if len(r.Decision.TopK) > 0 {
		l.Nearest = r.Decision.TopK[0].ID
	}
	if l.Track == "" {
		l.Track = None
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.encoder.Encode(l); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

// Close writes what is left.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := errors.Join(f.buffer.Flush(), f.file.Close()); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

func round(x float32) float64 { return math.Round(float64(x)*1e4) / 1e4 }
