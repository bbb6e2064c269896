// Package capture reads each camera in a process of its own, since a read that blocks inside a driver or a library cannot
// be cancelled and a crash there takes the process along. The agent starts the process, takes frames from it through a
// pipe, and kills it when it gives none, or the same one again and again. Whoever opens the source again gets a new
// process, so one camera's trouble reaches no other.
//
// What goes through the pipe is in message.go. A pipe costs two copies of a frame where memory of both processes would
// cost one; in return a process that dies in the middle of a frame leaves nothing half done. BENCHMARKS.md has figures.
package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"xbmedge/camera"
)

// Options say what to capture and when to give up.
type Options struct {
	Camera camera.Config
	// Stall is how long the camera may give no frame, 0 for 4 s. The first frame may take as long as opening.
	Stall time.Duration
	// Frozen is how long it may give the same picture, to the bit; 0 does not ask.
	Frozen time.Duration
	// Program is the command line of the capture process; nil finds the one that came with this program.
	Program []string
	// Alive is called several times a second while Open or Read waits; it may be nil.
	Alive func()
	// Counts counts over all sources of one camera; it may be nil.
	Counts *Counts
	Log    *slog.Logger
}

// Counts are what happened to a camera so far. They may be read from any goroutine.
type Counts struct {
	Starts  atomic.Uint64 // of a capture process
	Stalled atomic.Uint64 // of those, killed for giving no frames
	Frozen  atomic.Uint64 // or the same one
	Dropped atomic.Uint64 // frames that a newer one replaced before they were in the pipe
}

// The reasons for which a capture process is given up; test with errors.Is.
var (
	ErrStalled = errors.New("the camera has stalled")
	ErrFrozen  = errors.New("the camera's picture is frozen")
)

const (
	defaultStall = 4 * time.Second
	// loadTime is how long a capture process may take to start: it loads OpenCV, from a slow card perhaps.
	loadTime = 15 * time.Second
	// turn is how long a wait goes without a look at ctx and a sign of life.
	turn = 250 * time.Millisecond
)

// Source is a camera in a process of its own. Its methods are for one goroutine.
type Source struct {
	opts    Options
	process *process
	frozen  freezer
	bytes   [headerSize]byte
	first   bool   // no frame has come yet
	dropped uint64 // as told last
	broken  bool   // not to be asked to end any more, only killed
}

var _ camera.Source = (*Source)(nil)

// Open starts a process and has it open the camera. ctx bounds the opening only. The error tells what the process said.
func Open(ctx context.Context, o Options) (*Source, error) {
	if o.Stall <= 0 {
		o.Stall = defaultStall
	}
	if o.Alive == nil {
		o.Alive = func() {}
	}
	if o.Counts == nil {
		o.Counts = &Counts{}
	}
	if err := camera.Reach(ctx, o.Camera); err != nil {
		return nil, fmt.Errorf("open camera %s: %w", o.Camera, err)
	}
	if o.Program != nil {
		return o.open(ctx, o.Program)
	}
	program, err := Program(o.Camera)
	if err != nil {
		return nil, fmt.Errorf("open camera %s: %w", o.Camera, err)
	}
	s, err := o.open(ctx, program)
	var elsewhere elsewhereError
	if !errors.As(err, &elsewhere) {
		return s, err
	}
	o.Log.Debug("the camera is read with OpenCV", "why", err)
	path, failed := find(withOpenCV)
	if failed != nil {
		return nil, errors.Join(err, failed)
	}
	return o.open(ctx, []string{path})
}

// elsewhereError is what a capture process without OpenCV says of a camera that takes it.
type elsewhereError string

func (e elsewhereError) Error() string { return string(e) }

// open starts a program and has it open the camera.
func (o Options) open(ctx context.Context, program []string) (*Source, error) {
	p, err := start(program, o.Camera, o.Log)
	if err != nil {
		return nil, fmt.Errorf("open camera %s: %w", o.Camera, err)
	}
	o.Counts.Starts.Add(1)
	s := &Source{opts: o, process: p, frozen: newFreezer(o.Frozen), first: true, broken: true}
	if err := s.expect(ctx, hello, loadTime); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.expect(ctx, opened, o.Camera.Patience()+time.Second); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.broken = false
	return s, nil
}

// expect waits for a message that has nothing after its header.
func (s *Source) expect(ctx context.Context, want kind, limit time.Duration) error {
	h, err := s.next(ctx, limit)
	if err != nil {
		return err
	}
	if h.kind != want || h.length != 0 {
		return fmt.Errorf("the capture process says %d where %d was expected", h.kind, want)
	}
	return nil
}

// next reads a header. A fault or an end is an error.
func (s *Source) next(ctx context.Context, limit time.Duration) (header, error) {
	if err := s.fill(ctx, s.bytes[:], limit); err != nil {
		return header{}, err
	}
	h, err := parseHeader(&s.bytes)
	switch {
	case err != nil:
		return h, err
	case h.kind == end:
		return h, io.EOF
	case h.kind != fault && h.kind != elsewhere:
		return h, nil
	}
	text := make([]byte, min(h.length, maxText))
	if err := s.fill(ctx, text, time.Second); err != nil {
		return h, err
	}
	if h.kind == elsewhere {
		return h, elsewhereError(text)
	}
	return h, errors.New(string(text))
}

// fill reads all of b from the pipe, within limit.
func (s *Source) fill(ctx context.Context, b []byte, limit time.Duration) error {
	until := time.Now().Add(limit)
	for {
		if err := s.process.frames.SetReadDeadline(time.Now().Add(max(time.Millisecond, min(turn, time.Until(until))))); err != nil {
			return err
		}
		n, err := s.process.frames.Read(b)
		b = b[n:]
		switch {
		case len(b) == 0:
			return nil
		case errors.Is(err, io.EOF):
			return s.process.ended()
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("read from the capture process: %w", err)
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(until): // also of a process that trickles
			return fmt.Errorf("%w: nothing for %v", ErrStalled, limit)
		case err != nil:
			s.opts.Alive()
		}
	}
}

// Read waits for the next frame and fills f, reusing its buffer. io.EOF is the end of a clip. After any error the source
// can only be closed.
func (s *Source) Read(ctx context.Context, f *camera.Frame) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.read(ctx, f)
	if err != nil {
		s.broken = true
	}
	switch {
	case errors.Is(err, ErrStalled):
		s.opts.Counts.Stalled.Add(1)
	case errors.Is(err, ErrFrozen):
		s.opts.Counts.Frozen.Add(1)
	}
	return err
}

func (s *Source) read(ctx context.Context, f *camera.Frame) error {
	limit := s.opts.Stall
	if s.first {
		limit = max(limit, s.opts.Camera.Patience())
	}
	var h header
	for h.kind != frame {
		var err error
		if h, err = s.next(ctx, limit); err != nil {
			return err
		}
		if h.kind != frame && h.kind != alive {
			return fmt.Errorf("the capture process says %d between frames", h.kind)
		}
	}
	if err := camera.CheckSize(int(h.width), int(h.height)); err != nil {
		return err
	}
	camera.Shape(&f.Frame, int(h.width), int(h.height))
	if int(h.length) != len(f.Pix) {
		return fmt.Errorf("the capture process sends %d bytes for %d×%d pixels", h.length, h.width, h.height)
	}
	if err := s.fill(ctx, f.Pix, limit); err != nil {
		return err
	}
	f.Seq, f.Captured = h.seq, receiveTime(h.captured)
	s.first = false
	s.opts.Counts.Dropped.Add(h.dropped - s.dropped)
	s.dropped = h.dropped
	return s.frozen.look(f)
}

// Close ends the process: one that works is asked to and killed soon after, another is killed at once.
func (s *Source) Close() error { return s.process.close(!s.broken) }
