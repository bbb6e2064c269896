package capture

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"xbmedge/camera"
)

// framesFile is the file that a capture process writes its messages to.
const framesFile = 3

// maxConfig bounds what a capture process is told, in bytes.
const maxConfig = 1 << 20

// goodbyeTime is how long a source may take to close when its agent has gone or wants no more.
const goodbyeTime = 250 * time.Millisecond

// garbage is how much the heap may grow, in percent, before it is collected: there is little of it.
const garbage = 30

// Child is the whole life of a capture process: it reads what to capture from stdin, opens it, and passes frames on until
// the source is lost or stdin ends, which it does when the agent closes it or is no more. It ends the process itself
// where the source does not let go. What it logs goes to stderr, which the agent reads. video is nil in a program without
// OpenCV.
func Child(ctx context.Context, stdin io.Reader, stderr io.Writer, video camera.Video) error {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	out := os.NewFile(framesFile, "frames")
	if _, err := unix.FcntlInt(framesFile, unix.F_SETPIPE_SZ, pipeSize); err != nil {
		if errors.Is(err, unix.EBADF) {
			return errors.New("this command is for the agent to call: it wants a pipe as its file 3")
		}
		log.Debug("the pipe keeps its size", "error", err)
	}
	unix.CloseOnExec(framesFile)
	sacrifice(log)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	s := &sender{out: out}
	if err := s.send(header{kind: hello}, nil); err != nil {
		return err
	}
	in := bufio.NewReader(io.LimitReader(stdin, maxConfig))
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read what to capture: %w", err)
	}
	var cfg camera.Config
	if err := json.Unmarshal(line, &cfg); err != nil {
		return fmt.Errorf("read what to capture: %w", err)
	}
	// A signal to all processes of the service is for the agent to act upon.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in) // its end is all that counts
		cancel()
		time.Sleep(goodbyeTime)
		os.Exit(0)
	}()
	return s.serve(ctx, cfg, camera.Parts{Video: video, Log: log})
}

// sacrifice asks the kernel to end this process rather than the agent when memory runs out.
func sacrifice(log *slog.Logger) {
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("800"), 0o600); err != nil {
		log.Debug("not preferred when memory runs out", "error", err)
	}
}

// sender writes messages. It belongs to one goroutine at a time.
type sender struct {
	out    io.Writer
	header [headerSize]byte
}

func (s *sender) send(h header, body []byte) error {
	h.length = uint32(len(body))
	h.put(&s.header)
	if _, err := s.out.Write(s.header[:]); err != nil {
		return err
	}
	if len(body) == 0 {
		return nil
	}
	_, err := s.out.Write(body)
	return err
}

// serve passes on the frames of a source until it ends, and says why it did.
func (s *sender) serve(ctx context.Context, cfg camera.Config, parts camera.Parts) error {
	src, err := camera.Open(cfg, parts) //nolint:contextcheck // a stream goes on until Close
	if errors.Is(err, camera.ErrNoOpenCV) {
		return s.text(elsewhere, err)
	}
	if err != nil {
		return s.last(err)
	}
	if err := s.send(header{kind: opened}, nil); err != nil {
		return errors.Join(err, src.Close())
	}
	x := newExchange(cfg)
	written := make(chan error, 1)
	go func() { written <- s.write(x) }()
	err = x.read(ctx, src)
	close(x.ready)
	if failed := <-written; failed != nil { // nobody is left to tell
		return errors.Join(failed, src.Close())
	}
	if ctx.Err() == nil {
		err = s.last(err)
	}
	return errors.Join(err, src.Close())
}

// last tells of the source's end.
func (s *sender) last(err error) error {
	if errors.Is(err, io.EOF) {
		return s.send(header{kind: end}, nil)
	}
	return s.text(fault, err)
}

func (s *sender) text(k kind, err error) error {
	text := []byte(err.Error())
	return s.send(header{kind: k}, text[:min(len(text), maxText)])
}

// write sends what comes until the exchange is closed. After a failure it only keeps the reader from waiting.
func (s *sender) write(x *exchange) (failed error) {
	defer func() {
		for f := range x.ready {
			x.free <- f
		}
	}()
	for {
		select {
		case f, more := <-x.ready:
			if !more {
				return nil
			}
			h := header{
				kind: frame, width: uint32(f.Width), height: uint32(f.Height), seq: f.Seq,
				captured: sendTime(f.Captured), dropped: x.dropped.Load(),
			}
			err := s.send(h, f.Pix)
			x.free <- f
			if err != nil {
				close(x.stop)
				return err
			}
		case <-x.early:
			if err := s.send(header{kind: alive}, nil); err != nil {
				close(x.stop)
				return err
			}
		}
	}
}
