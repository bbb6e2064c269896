package camera

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"xbmedge/internal/vision"
)

// pictures gives pictures one after another.
type pictures struct {
	paths  []string
	next   int
	seq    uint64
	log    *slog.Logger
	given  int
	strict bool // a picture that cannot be read ends the source, rather than being left out
}

func openDir(dir string, log *slog.Logger) (*pictures, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	p := &pictures{log: log}
	for _, e := range entries {
		if !e.IsDir() && isPicture(e.Name()) {
			p.paths = append(p.paths, filepath.Join(dir, e.Name()))
		}
	}
	if len(p.paths) == 0 {
		return nil, errors.New("has no pictures (.jpg, .jpeg or .png)")
	}
	slices.Sort(p.paths)
	return p, nil
}

func (p *pictures) Read(ctx context.Context, f *Frame) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if p.next == len(p.paths) {
			if p.given == 0 {
				return fmt.Errorf("none of the %d pictures can be read", len(p.paths))
			}
			return io.EOF
		}
		path := p.paths[p.next]
		p.next++
		p.seq++
		decoded, err := vision.DecodeFile(path)
		if err != nil {
			if p.strict {
				return fmt.Errorf("read picture: %w", err)
			}
			p.log.Warn("picture left out", "error", err)
			continue
		}
		p.given++
		f.Frame, f.Seq, f.Captured = decoded, p.seq, time.Now()
		return nil
	}
}

func (p *pictures) Close() error { return nil }
