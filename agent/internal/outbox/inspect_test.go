package outbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInspect(t *testing.T) {
	dir := t.TempDir()
	l := begin(t, Config{Dir: dir})
	add(t, l, 10)
	flush(t, l)
	_ = l.Ack(4) // always nil
	flush(t, l)
	list := func(all bool) (s Summary, seqs []uint64) {
		s, err := Inspect(dir, all, func(r Record) error {
			seqs = append(seqs, r.Seq)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return s, seqs
	}
	s, seqs := list(false) // at work
	expect(t, "events that wait", upTo(5, 10), seqs)
	want := Summary{Segments: 1, Bytes: s.Bytes, Events: 10, Waiting: 6, First: 5, Acked: 4, Last: 10, Boot: strings.ReplaceAll(bootOne, "-", "")}
	expect(t, "at work", want, s)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, segmentName(1))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[strings.Index(string(data), "event 8")]++
	if err := os.WriteFile(path, append(data, 0xf5), 0o600); err != nil {
		t.Fatal(err)
	}
	s, seqs = list(true)
	expect(t, "all events", append(upTo(1, 7), 9, 10), seqs)
	want.Events, want.Waiting, want.Damaged, want.Torn, want.Closed, want.Bytes = 9, 5, 1, 1, true, s.Bytes
	expect(t, "damaged, at rest", want, s)
	if after, err := os.ReadFile(path); err != nil || len(after) != len(data)+1 {
		t.Errorf("it was changed: %v", err)
	}
	stop := errors.New("stop")
	if _, err := Inspect(dir, true, func(Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("yield's error became %v", err)
	}
	if _, err := Inspect(filepath.Join(dir, "none"), false, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
