package outbox

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// payload is as long as a match event is.
func payload(seq uint64) ([]byte, error) { return fmt.Appendf(nil, "%0800d", seq), nil }

// addPaced appends n events no faster than they can be written.
func addPaced(t testing.TB, l *Log, n int) {
	t.Helper()
	for i := range n {
		if err := l.Append("xbm/porch-a1b2c3/front_door/match", payload); err != nil {
			t.Fatal(err)
		}
		if i%500 == 499 {
			flush(t, l)
		}
	}
	flush(t, l)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Many more events come than there is room for, and no broker: memory stays, the newest stay, and every other is counted.
func TestManyEventsAndNoBroker(t *testing.T) {
	n, limit := times(30_000, 1_000_000), int64(times(8<<20, 64<<20))
	dir := t.TempDir()
	l := begin(t, Config{Dir: dir, MaxBytes: limit, Interval: time.Hour}) // syncs when asked only
	addPaced(t, l, 1000)
	before, most := heap(), uint64(0)
	for done := 1000; done < n; done += n / 20 {
		addPaced(t, l, min(n/20, n-done))
		most = max(most, heap())
	}
	grown := int64(most) - int64(before)
	if grown > 5<<20 {
		t.Errorf("memory grew by %d bytes", grown)
	}
	s := l.Stats()
	if s.Waiting+int(s.Dropped) != n || s.Dropped == 0 || s.Bytes > limit {
		t.Errorf("%d wait, %d were dropped, of %d; %d bytes of at most %d", s.Waiting, s.Dropped, n, s.Bytes, limit)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	l = begin(t, Config{Dir: dir, MaxBytes: limit})
	opened := time.Since(start)
	start = time.Now()
	head := l.Peek(0, 1)
	first := time.Since(start)
	if len(head) != 1 || head[0].Seq != s.Dropped+1 {
		t.Fatalf("the head is %d events, from %d on; want event %d", len(head), head[0].Seq, s.Dropped+1)
	}
	waiting, after := 0, uint64(s.Dropped)
	for records := l.Peek(0, 20); len(records) > 0; records = l.Peek(after, 20) {
		for _, r := range records {
			if r.Seq != after+1 {
				t.Fatalf("event %d comes after %d", r.Seq, after)
			}
			after = r.Seq
			waiting++
		}
	}
	if waiting != s.Waiting || l.Len() != waiting || after != uint64(n) {
		t.Errorf("%d came and %d wait, up to %d; want %d, up to %d", waiting, l.Len(), after, s.Waiting, n)
	}
	if opened > patience || first > patience {
		t.Error("slow")
	}
	t.Logf("%d events, %d wait in %d bytes, %d dropped; memory grew by %d KiB; opened in %v, head read in %v; %d bytes written, %.3f of the payload",
		n, s.Waiting, s.Bytes, s.Dropped, grown>>10, opened, first, s.BytesWritten, float64(s.BytesWritten)/float64(s.PayloadBytes))
}

// Bytes written, confirmations and all, while a broker takes every event at once.
func TestBytesWritten(t *testing.T) {
	l := begin(t, Config{Dir: t.TempDir(), Interval: 5 * time.Millisecond})
	for seq := uint64(1); seq <= 2000; seq++ {
		if err := l.Append("xbm/porch-a1b2c3/front_door/match", payload); err != nil {
			t.Fatal(err)
		}
		for len(l.Peek(seq-1, 1)) == 0 {
			<-l.Ready()
		}
		_ = l.Ack(seq) // always nil
	}
	flush(t, l)
	s := l.Stats()
	if s.BytesWritten > 2*s.PayloadBytes || s.BytesWritten < s.PayloadBytes {
		t.Errorf("%d bytes were written for %d", s.BytesWritten, s.PayloadBytes)
	}
	if s.Waiting != 0 || s.Segments != 1 {
		t.Errorf("stats %+v", s)
	}
	t.Logf("%d bytes written, %.3f of the payload", s.BytesWritten, float64(s.BytesWritten)/float64(s.PayloadBytes))
}

// BenchmarkHead reads the oldest of 100,000 events that wait, first thing after a start.
func BenchmarkHead(b *testing.B) {
	dir := b.TempDir()
	cfg := Config{Dir: dir, MaxBytes: 256 << 20, Boot: bootOne}
	l := begin(b, cfg)
	addPaced(b, l, 100_000)
	_ = l.Ack(2500) // the head lies within a segment
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		l := begin(b, cfg)
		b.StartTimer()
		if r := l.Peek(0, 1); len(r) != 1 || r[0].Seq != 2501 {
			b.Fatalf("%d events", len(r))
		}
		b.StopTimer()
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkAppend tells what an event costs, on the disk, when 500 share a sync.
func BenchmarkAppend(b *testing.B) {
	l := begin(b, Config{Dir: b.TempDir(), Interval: time.Hour})
	body, _ := payload(1)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if err := l.Append("xbm/porch-a1b2c3/front_door/match", func(uint64) ([]byte, error) { return body, nil }); err != nil {
			b.Fatal(err)
		}
		if n++; n%500 == 0 {
			flush(b, l)
		}
	}
	flush(b, l)
	s := l.Stats()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(s.Dropped), "dropped")
}

// BenchmarkOpen opens 64 MiB of events.
func BenchmarkOpen(b *testing.B) {
	cfg := Config{Dir: b.TempDir(), Boot: bootOne}
	l := begin(b, cfg)
	addPaced(b, l, 90_000)
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	size := int64(0)
	entries, _ := os.ReadDir(cfg.Dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			size += info.Size()
		}
	}
	b.SetBytes(size)
	for b.Loop() {
		if err := begin(b, cfg).Close(); err != nil {
			b.Fatal(err)
		}
	}
}
