package camera

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"xbmedge/internal/vision"
)

// watched gives the pictures that come into a folder from now on. A file is a picture once its writer has closed it or
// has renamed it to its name; the libraries for this (fsnotify) do not tell the first from any other write.
type watched struct {
	dir    string
	events *os.File // inotify's
	buf    []byte
	ready  []string // names of pictures that are whole, the oldest first
	alive  func()
	log    *slog.Logger
	seq    uint64
}

// maxReady bounds the pictures that wait; the oldest go.
const maxReady = 1024

func watchDir(dir string, alive func(), log *slog.Logger) (*watched, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch folders: %w", err)
	}
	w := &watched{dir: dir, events: os.NewFile(uintptr(fd), "inotify"), buf: make([]byte, 64<<10), alive: alive, log: log}
	const what = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	if _, err := unix.InotifyAddWatch(fd, dir, what); err != nil {
		return nil, errors.Join(&os.PathError{Op: "watch", Path: dir, Err: err}, w.events.Close())
	}
	return w, nil
}

// Read waits for the next picture that can be read; one that cannot be is told of and left out.
func (w *watched) Read(ctx context.Context, f *Frame) error {
	for {
		for len(w.ready) == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if w.alive != nil {
				w.alive()
			}
			if err := w.wait(200 * time.Millisecond); err != nil {
				return err
			}
		}
		name := w.ready[0]
		w.ready = w.ready[1:]
		w.seq++
		decoded, err := vision.DecodeFile(filepath.Join(w.dir, name))
		if err == nil {
			err = CheckSize(decoded.Width, decoded.Height)
		}
		if err != nil {
			w.log.Warn("picture left out", "error", err)
			continue
		}
		f.Frame, f.Seq, f.Captured = decoded, w.seq, time.Now()
		return nil
	}
}

// wait takes what the kernel has to tell, for some time at most.
func (w *watched) wait(most time.Duration) error {
	if err := w.events.SetReadDeadline(time.Now().Add(most)); err != nil {
		return err
	}
	n, err := w.events.Read(w.buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("watch %s: %w", w.dir, err)
	}
	for rest := w.buf[:n]; len(rest) >= unix.SizeofInotifyEvent; { // see inotify(7)
		mask := binary.NativeEndian.Uint32(rest[4:])
		length := int(binary.NativeEndian.Uint32(rest[12:]))
		end := min(unix.SizeofInotifyEvent+length, len(rest))
		name := strings.TrimRight(string(rest[unix.SizeofInotifyEvent:end]), "\x00")
		rest = rest[end:]
		switch {
		case mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED|unix.IN_UNMOUNT) != 0:
			return fmt.Errorf("the folder %s is gone", w.dir)
		case mask&unix.IN_Q_OVERFLOW != 0:
			w.log.Warn("more pictures came at once than the system tells of; some were not seen", "folder", w.dir)
		case mask&unix.IN_ISDIR == 0 && isPicture(name) && !strings.HasPrefix(name, "."):
			w.ready = append(w.ready, name)
		}
	}
	if over := len(w.ready) - maxReady; over > 0 {
		w.log.Warn("pictures come faster than they can be looked at; the oldest are left out", "folder", w.dir, "pictures", over)
		w.ready = w.ready[over:]
		w.seq += uint64(over)
	}
	return nil
}

func (w *watched) Close() error { return w.events.Close() }
