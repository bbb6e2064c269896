package mqtt_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/mqtt"
)

func TestMemoryOutbox(t *testing.T) {
	o := mqtt.NewMemoryOutbox(4)
	add := func(names ...string) {
		for _, n := range names {
			if err := o.Append("t", []byte(n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	peek := func(after uint64, n int) string {
		var out []string
		for _, r := range o.Peek(after, n) {
			out = append(out, string(r.Payload))
		}
		return strings.Join(out, "")
	}
	expect := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	expect("empty", peek(0, 9), "")
	add("a", "b", "c")
	expect("all", peek(0, 9), "abc")
	expect("two", peek(0, 2), "ab")
	expect("after the first", peek(1, 9), "bc")
	expect("after the last", peek(3, 9), "")
	add("d", "e") // a goes
	expect("full", peek(0, 9), "bcde")
	expect("after one that is gone", peek(1, 9), "bcde")
	if o.Dropped() != 1 || o.Len() != 4 {
		t.Errorf("%d dropped, %d there; want 1, 4", o.Dropped(), o.Len())
	}
	_ = o.Ack(1) // gone already
	expect("after a late confirmation", peek(0, 9), "bcde")
	_ = o.Ack(3)
	expect("after confirming b and c", peek(0, 9), "de")
	add("f", "g")
	expect("around the ring", peek(4, 9), "efg")
	_ = o.Ack(7)
	if o.Len() != 0 || len(o.Peek(0, 9)) != 0 {
		t.Error("not empty after the last confirmation")
	}
}

func TestSequence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sequence.json")
	take := func(n int, clean bool) []uint64 {
		t.Helper()
		s, err := mqtt.OpenSequence(path, quiet())
		if err != nil {
			t.Fatal(err)
		}
		var out []uint64
		for range n {
			out = append(out, s.Next())
		}
		if clean {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	if diff := cmp.Diff([]uint64{1, 2, 3}, take(3, true)); diff != "" {
		t.Errorf("first start (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uint64{4, 5}, take(2, false)); diff != "" {
		t.Errorf("after a clean end (-want +got):\n%s", diff)
	}
	last := take(1500, false) // more than is reserved at once
	if last[0] <= 5 || last[0] > 5+1000 || last[1499] != last[0]+1499 {
		t.Errorf("after a crash: %d to %d; want less than 1000 skipped, then no gaps", last[0], last[1499])
	}
	next := take(1, true)
	if next[0] <= last[1499] {
		t.Errorf("after another crash: %d, given out before", next[0])
	}
	if err := os.WriteFile(path, []byte(`{"version":1,"ne`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := take(1, true)[0]; got < uint64(time.Now().Add(-time.Minute).UnixMilli()) {
		t.Errorf("after a damaged file: %d, which may have been given out before", got)
	}
}

func TestSequenceWithoutAFolder(t *testing.T) {
	var log strings.Builder
	s, err := mqtt.OpenSequence(filepath.Join(t.TempDir(), "none", "sequence.json"), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for want := uint64(1); want < 2500; want++ {
		if got := s.Next(); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("said again at the end, where it would count as a failure: %v", err)
	}
	if n := strings.Count(log.String(), "cannot be kept"); n != 1 {
		t.Errorf("said %d times, want once: %s", n, log.String())
	}
}
