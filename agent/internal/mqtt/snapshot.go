package mqtt

import (
	"bytes"
	"fmt"

	"xbmedge/internal/vision"
)

const (
	// MaxSnapshot bounds a picture's bytes: a broker keeps one for each camera and identity, and so does the client.
	MaxSnapshot = 64 << 10
	// maxSnapshotSide bounds its longer side, in pixels.
	maxSnapshotSide = 480
)

// encodeSnapshot returns a picture as a JPEG of at most MaxSnapshot bytes: first it is made smaller, then coarser.
func encodeSnapshot(f vision.Frame) ([]byte, error) {
	if longer := max(f.Width, f.Height); longer > maxSnapshotSide {
		small, err := vision.NewPreprocessor(max(1, f.Width*maxSnapshotSide/longer), max(1, f.Height*maxSnapshotSide/longer)).Resize(f)
		if err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
		f = small
	}
	for _, quality := range []int{85, 60, 30, 5} {
		var out bytes.Buffer
		if err := vision.EncodeJPEG(&out, f, quality); err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
		if out.Len() <= MaxSnapshot {
			return out.Bytes(), nil
		}
	}
	return nil, fmt.Errorf("snapshot of %d×%d pixels: more than %d bytes", f.Width, f.Height, MaxSnapshot)
}
