package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"

	"xbmedge/agent/internal/config"
)

// newLogger logs to w as the configuration says. Where w is the journal's, lines carry their priority for it (see
// sd-daemon(3)) and no time, which the journal notes itself.
func newLogger(w io.Writer, cfg config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if !isJournal(w) {
		return slog.New(newHandler(w, cfg.Format, options))
	}
	options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(forJournal(func(prefix string) slog.Handler {
		return newHandler(prefixed{w, []byte(prefix)}, cfg.Format, options)
	}))
}

func newHandler(w io.Writer, format string, options *slog.HandlerOptions) slog.Handler {
	if format == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// isJournal reports whether w is the stream that systemd gave the program: JOURNAL_STREAM names its device and inode.
func isJournal(w io.Writer) bool {
	file, ok := w.(*os.File)
	stream := os.Getenv("JOURNAL_STREAM")
	if !ok || stream == "" {
		return false
	}
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(file.Fd()), &stat); err != nil {
		return false
	}
	return stream == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// prefixed writes a prefix before each line; slog writes a record with one call.
type prefixed struct {
	w      io.Writer
	prefix []byte
}

func (p prefixed) Write(line []byte) (int, error) {
	if _, err := p.w.Write(append(p.prefix[:len(p.prefix):len(p.prefix)], line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// journal is a handler for each priority of the journal: debug, info, warning and error.
type journal [4]slog.Handler

func forJournal(build func(prefix string) slog.Handler) journal {
	var j journal
	for i, prefix := range strings.Fields("<7> <6> <4> <3>") {
		j[i] = build(prefix)
	}
	return j
}

func (j journal) of(level slog.Level) slog.Handler {
	switch {
	case level < slog.LevelInfo:
		return j[0]
	case level < slog.LevelWarn:
		return j[1]
	case level < slog.LevelError:
		return j[2]
	}
	return j[3]
}

func (j journal) Enabled(ctx context.Context, level slog.Level) bool {
	return j.of(level).Enabled(ctx, level)
}

func (j journal) Handle(ctx context.Context, r slog.Record) error {
	return j.of(r.Level).Handle(ctx, r)
}

func (j journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	for i := range j {
		j[i] = j[i].WithAttrs(attrs)
	}
	return j
}

func (j journal) WithGroup(name string) slog.Handler {
	for i := range j {
		j[i] = j[i].WithGroup(name)
	}
	return j
}
