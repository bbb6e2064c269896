package command_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/agent/internal/outbox"
)

func TestOutbox(t *testing.T) {
	state := t.TempDir()
	dir := filepath.Join(state, "outbox")
	if _, err := run(t, "outbox", "stat", "--state", state); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no outbox: %v", err)
	}
	l, err := outbox.Open(outbox.Config{Dir: dir}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 5 {
		if err := l.Append("xbm/porch/door/match", func(seq uint64) ([]byte, error) { return fmt.Appendf(nil, `{"seq": %d}`, seq), nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.Sync(), l.Ack(2), l.Sync()); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "outbox", "stat", "--state", state) // while it is at work
	if err != nil || !strings.Contains(out, "3 events, seq 3 to 5") || !strings.Contains(out, "up to seq 2") {
		t.Errorf("stat: %s, %v", out, err)
	}
	out, err = run(t, "outbox", "stat", "--dir", dir, "--json")
	var s struct{ Waiting, Events, Last int }
	if err != nil || json.Unmarshal([]byte(out), &s) != nil || s.Waiting != 3 || s.Events != 5 || s.Last != 5 {
		t.Errorf("stat --json: %s, %v", out, err)
	}
	out, err = run(t, "outbox", "dump", "--state", state, "--json")
	want := `{"seq":3,"topic":"xbm/porch/door/match","payload":{"seq":3}}` + "\n"
	if err != nil || strings.Count(out, "\n") != 3 || !strings.HasPrefix(out, want) {
		t.Errorf("dump --json: %s, %v; want 3 lines, the first %s", out, err, want)
	}
	if out, err = run(t, "outbox", "dump", "--state", state, "--all"); err != nil || strings.Count(out, "\n") != 5 {
		t.Errorf("dump --all: %s, %v", out, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	segment := filepath.Join(dir, "0000000001.log")
	data, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	data[strings.Index(string(data), `{"seq": 4}`)]++
	if err := os.WriteFile(segment, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "outbox", "stat", "--state", state); err == nil || !strings.Contains(out, "2 events") {
		t.Errorf("stat of a damaged one: %s, %v", out, err)
	}
}
