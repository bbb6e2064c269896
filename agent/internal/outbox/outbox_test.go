package outbox

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

const (
	patience = 20 * time.Second
	bootOne  = "11111111-1111-1111-1111-111111111111"
	bootTwo  = "22222222-2222-2222-2222-222222222222"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// begin opens a log that the test closes, if nobody does before.
func begin(t testing.TB, cfg Config) *Log {
	t.Helper()
	if cfg.Boot == "" {
		cfg.Boot = bootOne
	}
	l, err := Open(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// add appends n events that tell their number.
func add(t testing.TB, l *Log, n int) {
	t.Helper()
	for range n {
		if err := l.Append("t", func(seq uint64) ([]byte, error) { return fmt.Appendf(nil, "event %d", seq), nil }); err != nil {
			t.Fatal(err)
		}
	}
}

func flush(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
}

// numbers returns those of all events above after, in the order in which they come.
func numbers(t testing.TB, l *Log, after uint64) []uint64 {
	t.Helper()
	var out []uint64
	for {
		records := l.Peek(after, 7)
		if len(records) == 0 {
			return out
		}
		for _, r := range records {
			if want := fmt.Sprintf("event %d", r.Seq); string(r.Payload) != want || r.Topic != "t" {
				t.Fatalf("event %d holds %q on %q", r.Seq, r.Payload, r.Topic)
			}
			out = append(out, r.Seq)
			after = r.Seq
		}
	}
}

func upTo(first, last uint64) []uint64 {
	var out []uint64
	for n := first; n <= last; n++ {
		out = append(out, n)
	}
	return out
}

func expect[T any](t testing.TB, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestAcrossRestarts(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := filepath.Join(t.TempDir(), "outbox")
	l := begin(t, Config{Dir: dir, First: 41})
	expect(t, "empty", nil, numbers(t, l, 0))
	add(t, l, 30)
	flush(t, l)
	expect(t, "all", upTo(41, 70), numbers(t, l, 0))
	expect(t, "after some", upTo(50, 70), numbers(t, l, 49))
	expect(t, "after the last", nil, numbers(t, l, 70))
	expect(t, "waiting", 30, l.Len())
	if err := errors.Join(l.Ack(52), l.Ack(50), l.Ack(52)); err != nil {
		t.Fatal(err)
	}
	expect(t, "waiting after some are confirmed", 18, l.Len())
	expect(t, "after some are confirmed", upTo(53, 70), numbers(t, l, 0))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Append("t", nil); err == nil || l.Sync() == nil {
		t.Error("a closed log takes events")
	}

	l = begin(t, Config{Dir: dir, First: 41})
	expect(t, "after a restart", upTo(53, 70), numbers(t, l, 0))
	expect(t, "waiting after a restart", 18, l.Len())
	add(t, l, 2)
	if err := l.Ack(1000); err != nil { // more than there are
		t.Fatal(err)
	}
	expect(t, "waiting at the end", 0, l.Len())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	l = begin(t, Config{Dir: dir, Boot: bootTwo}) // ended properly: no number is left out
	expect(t, "nothing waits", nil, numbers(t, l, 0))
	add(t, l, 1)
	flush(t, l)
	expect(t, "the numbers go on", upTo(73, 73), numbers(t, l, 0))
	if s := l.Stats(); s.Damaged+s.Torn != 0 || s.Segments != 1 {
		t.Errorf("stats %+v", s)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// Confirmations are kept also where no event comes after them.
func TestConfirmedAfterARestart(t *testing.T) {
	dir := t.TempDir()
	l := begin(t, Config{Dir: dir})
	add(t, l, 10)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{10, 0} {
		l = begin(t, Config{Dir: dir, Boot: bootTwo})
		expect(t, "waiting", want, l.Len())
		if err := errors.Join(l.Ack(10), l.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// What is read first comes from memory, then from the disk; the order is one.
func TestPeekWhileItIsWritten(t *testing.T) {
	l := begin(t, Config{Dir: t.TempDir(), Interval: time.Millisecond})
	const n = 5000
	done := make(chan struct{})
	go func() {
		defer close(done)
		add(t, l, n)
	}()
	sent := uint64(0)
	for deadline := time.After(patience); sent < n; {
		for _, r := range l.Peek(sent, 20) {
			if r.Seq != sent+1 {
				t.Fatalf("event %d comes after %d", r.Seq, sent)
			}
			sent = r.Seq
			if sent > 10 {
				_ = l.Ack(sent - 10) // always nil
			}
		}
		select {
		case <-l.Ready():
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatalf("no more than %d events came", sent)
		}
	}
	<-done
	_ = l.Ack(n)
	expect(t, "waiting", 0, l.Len())
	flush(t, l)
	if s := l.Stats(); s.Confirmed != n || s.Dropped != 0 || s.MemoryBytes != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestBoundedBytes(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Dir: dir, MaxBytes: MinBytes}
	l := begin(t, cfg)
	payload := make([]byte, 1000)
	const n = 3000
	for range n {
		if err := l.Append("topic", func(uint64) ([]byte, error) { return payload, nil }); err != nil {
			t.Fatal(err)
		}
		if l.Stats().MemoryBytes > 1<<20 {
			flush(t, l)
		}
	}
	flush(t, l)
	size := int64(0)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > MinBytes || size < MinBytes*3/4 {
		t.Errorf("%d bytes on the disk, want nearly %d", size, MinBytes)
	}
	var got []uint64
	for after := uint64(0); ; after = got[len(got)-1] {
		records := l.Peek(after, 100)
		if len(records) == 0 {
			break
		}
		for _, r := range records {
			got = append(got, r.Seq)
		}
	}
	expect(t, "events that are left", upTo(l.Dropped()+1, n), got)
	expect(t, "waiting", n-int(l.Dropped()), l.Len())
	if err := l.Append("topic", func(uint64) ([]byte, error) { return make([]byte, 128<<10), nil }); !errors.Is(err, ErrTooLarge) {
		t.Errorf("an event larger than a segment: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	before := l.Len()
	l = begin(t, cfg)
	expect(t, "waiting after a restart", before, l.Len())
}

// What is dropped of a segment that is partly confirmed is the rest of it.
func TestDroppedAfterConfirmed(t *testing.T) {
	l := begin(t, Config{Dir: t.TempDir(), MaxBytes: MinBytes, Interval: time.Hour})
	addPaced(t, l, 1000)
	_ = l.Ack(70) // always nil
	addPaced(t, l, 1000)
	s := l.Stats()
	if s.Dropped == 0 || s.Confirmed != 70 || int(s.Dropped)+70+s.Waiting != 2000 {
		t.Errorf("%d confirmed, %d dropped, %d wait, of 2000", s.Confirmed, s.Dropped, s.Waiting)
	}
	if head := l.Peek(0, 1); len(head) != 1 || head[0].Seq != 70+s.Dropped+1 {
		t.Errorf("the head is %d", head[0].Seq)
	}
}

func TestTornTail(t *testing.T) {
	for _, torn := range []int{1, 3, 27, 28, 30} {
		dir := t.TempDir()
		l := begin(t, Config{Dir: dir})
		add(t, l, 10)
		flush(t, l)
		path := filepath.Join(dir, segmentName(1))
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		data = append(data, appendRecord(nil, salt(1), kindEvent, 11, "t", []byte("event 11"))[:torn]...)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		l = begin(t, Config{Dir: dir})
		add(t, l, 2)
		flush(t, l)
		expect(t, fmt.Sprintf("%d bytes of an event", torn), upTo(1, 12), numbers(t, l, 0))
		if s := l.Stats(); s.Torn != 1 || s.Damaged != 0 {
			t.Errorf("%d bytes of an event: %+v", torn, s)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = begin(t, Config{Dir: dir})
		expect(t, "after another restart", upTo(1, 12), numbers(t, l, 0))
		if s := l.Stats(); s.Torn != 0 {
			t.Error("the torn tail was not cut off")
		}
	}
}

func TestDamagedRecord(t *testing.T) {
	dir := t.TempDir()
	l := begin(t, Config{Dir: dir})
	add(t, l, 10)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, segmentName(1))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(data), "event 4")
	data[at]++
	data[3]++ // the header
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second start finds it set aside
		l = begin(t, Config{Dir: dir})
		expect(t, "intact events", append(upTo(1, 3), upTo(5, 10)...), numbers(t, l, 0))
		expect(t, "waiting", 9, l.Len())
		if s := l.Stats(); s.Damaged != 2 {
			t.Errorf("%d damaged places, want 2", s.Damaged)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	aside, err := filepath.Glob(filepath.Join(dir, "*.damaged"))
	if err != nil || len(aside) != 2 {
		t.Fatalf("set aside: %v, %v", aside, err)
	}
	kept, err := os.ReadFile(aside[1])
	if err != nil || !strings.Contains(string(kept), "fvent 4") {
		t.Errorf("%s holds %q, %v", aside[1], kept, err)
	}
}

// Damage that comes while the log is open costs the record it hits.
func TestDamageWhileOpen(t *testing.T) {
	dir := t.TempDir()
	l := begin(t, Config{Dir: dir})
	add(t, l, 10)
	flush(t, l)
	path := filepath.Join(dir, segmentName(1))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[strings.Index(string(data), "event 4")]++
	data[strings.Index(string(data), "event 7")-5]++ // in the record's header
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, "intact events", []uint64{1, 2, 3, 5, 6, 8, 9, 10}, numbers(t, l, 0))
	_ = l.Ack(10)
	expect(t, "waiting", 0, l.Len())
	if s := l.Stats(); s.Damaged != 2 {
		t.Errorf("%d damaged places, want 2", s.Damaged)
	}
}

func TestTwoAgentsOnOneFolder(t *testing.T) {
	dir := t.TempDir()
	l := begin(t, Config{Dir: dir})
	if _, err := Open(Config{Dir: dir}, quiet()); !errors.Is(err, ErrInUse) {
		t.Fatalf("the second: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	begin(t, Config{Dir: dir})
}

// After a power cut the numbers of events that may have been delivered, but are not on the disk, are left out.
func TestNumbersAfterAPowerCut(t *testing.T) {
	dir := t.TempDir()
	l := begin(t, Config{Dir: dir})
	add(t, l, 10)
	flush(t, l)
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	same := begin(t, Config{Dir: copied})
	if s := same.Stats(); s.Next != 11 {
		t.Errorf("after a kill the next number is %d, want 11", s.Next)
	}
	other := t.TempDir()
	if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	cut := begin(t, Config{Dir: other, Boot: bootTwo})
	if s := cut.Stats(); s.Next != 11+ahead {
		t.Errorf("after a power cut the next number is %d, want %d", s.Next, 11+ahead)
	}
	add(t, cut, 1)
	flush(t, cut)
	expect(t, "events", append(upTo(1, 10), 11+ahead), numbers(t, cut, 0))
}

func TestAppendWhoseEncodingFails(t *testing.T) {
	l := begin(t, Config{Dir: t.TempDir()})
	broken := errors.New("broken")
	if err := l.Append("t", func(uint64) ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	add(t, l, 1)
	flush(t, l)
	expect(t, "events", upTo(1, 1), numbers(t, l, 0))
}
