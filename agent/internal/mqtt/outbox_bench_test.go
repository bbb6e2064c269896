package mqtt_test

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"xbmedge/agent/internal/outbox"
)

// throughBroker sends b.N events of 800 bytes at a steady rate through an outbox on the disk and a broker (Mosquitto
// where it is installed) to a subscriber, and reports how long they take and what that costs the disk.
func throughBroker(b *testing.B, perSecond int) {
	url, name := anyBroker(b)
	l, err := outbox.Open(outbox.Config{Dir: b.TempDir()}, quiet())
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	sub := subscribe(b, url, "b/n/c/match")
	cfg := fast(url)
	cfg.AckTimeout = patience
	c, stop := start(b, cfg, l)
	for deadline := time.Now().Add(patience); !c.Stats().Connected; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("not connected")
		}
	}
	before := l.Stats()
	begun := time.Now()
	b.ResetTimer()
	go func() {
		for i := range b.N {
			time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(perSecond))))
			_ = c.Event("b/n/c/match", func(seq uint64) ([]byte, error) {
				payload := make([]byte, 800)
				binary.LittleEndian.PutUint64(payload, seq)
				binary.LittleEndian.PutUint64(payload[8:], uint64(time.Since(begun)))
				return payload, nil
			})
		}
	}()
	took := make([]time.Duration, 0, b.N)
	for seq := uint64(1); seq <= uint64(b.N); seq++ {
		select {
		case m := <-sub.messages:
			if got := binary.LittleEndian.Uint64(m.Payload); got != seq {
				b.Fatalf("event %d came in place of %d", got, seq)
			}
			took = append(took, time.Since(begun)-time.Duration(binary.LittleEndian.Uint64(m.Payload[8:])))
		case <-time.After(patience):
			b.Fatalf("event %d did not come", seq)
		}
	}
	elapsed := time.Since(begun)
	b.StopTimer()
	if err := stop(); err != nil {
		b.Fatal(err)
	}
	after := l.Stats()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(b.N)/elapsed.Seconds(), "events/s")
	b.ReportMetric(float64(after.Syncs-before.Syncs)/elapsed.Seconds(), "syncs/s")
	b.ReportMetric(float64(after.BytesWritten-before.BytesWritten)/float64(after.PayloadBytes-before.PayloadBytes), "written/payload")
	b.ReportMetric(float64(after.Dropped), "dropped")
	b.Logf("%s", name)
}

// BenchmarkEvents100 is a busy camera: go test -bench Events100 -benchtime 3000x.
func BenchmarkEvents100(b *testing.B) { throughBroker(b, 100) }

// BenchmarkEvents2000 is more than any camera tells: go test -bench Events2000 -benchtime 40000x.
func BenchmarkEvents2000(b *testing.B) { throughBroker(b, 2000) }
