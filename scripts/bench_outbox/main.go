// Bench_outbox measures the agent's outbox beside the stores that come with the Eclipse clients for MQTT: paho's file
// store and autopaho's file queue. It is a module of its own, so that the latter are no dependency of the agent.
//
//	cd scripts/bench_outbox && go run . [-dir FOLDER] [-events 100000]
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/eclipse/paho.golang/autopaho/queue/file"
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"xbmedge/agent/internal/outbox"
)

const topic = "xbm/porch-a1b2c3/front_door/match"

// store is one of those that are compared.
type store struct {
	name string
	// open opens what is in dir. put adds a payload; done makes all that was put last, as far as the store can; head
	// reads the oldest.
	open func(dir string) (put func(payload []byte) error, done func() error, head func() ([]byte, error), err error)
}

func main() {
	dir := flag.String("dir", "", "`FOLDER` on the disk to be measured; empty: the system's for temporary files")
	events := flag.Int("events", 100_000, "`NUMBER` of events of 800 bytes")
	flag.Parse()
	if err := run(*dir, *events); err != nil {
		fmt.Fprintln(os.Stderr, "bench_outbox:", err)
		os.Exit(1)
	}
}

func run(parent string, events int) error {
	fmt.Printf("%d events of 800 bytes\n%-22s %12s %12s %12s %12s %10s\n", events, "", "put, 1/s", "open, ms", "head, ms", "disk, MiB", "files")
	for _, s := range []store{{"xbm outbox", openOutbox}, {"paho file store", openPaho}, {"autopaho file queue", openAutopaho}} {
		if err := measure(s, parent, events); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func measure(s store, parent string, events int) error {
	dir, err := os.MkdirTemp(parent, "bench-outbox-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	put, done, _, err := s.open(dir)
	if err != nil {
		return err
	}
	start := time.Now()
	for i := range events {
		if err := put(fmt.Appendf(nil, "%0800d", i)); err != nil {
			return err
		}
	}
	if err := done(); err != nil {
		return err
	}
	rate := float64(events) / time.Since(start).Seconds()

	start = time.Now()
	_, done, head, err := s.open(dir)
	if err != nil {
		return err
	}
	opened := time.Since(start)
	start = time.Now()
	payload, err := head()
	if err != nil {
		return err
	}
	first := time.Since(start)
	if want := fmt.Appendf(nil, "%0800d", 0); !bytes.Equal(payload, want) {
		fmt.Printf("%-22s the head is not the oldest event, but number %s\n", s.name, bytes.TrimLeft(payload, "0"))
	}
	if err := done(); err != nil {
		return err
	}
	blocks, files, err := usage(dir)
	if err != nil {
		return err
	}
	fmt.Printf("%-22s %12.0f %12.2f %12.3f %12.1f %10d\n", s.name, rate, ms(opened), ms(first), float64(blocks)/(1<<20), files)
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// openOutbox: every 500 events share a sync, which is waited for.
func openOutbox(dir string) (func([]byte) error, func() error, func() ([]byte, error), error) {
	l, err := outbox.Open(outbox.Config{Dir: dir, MaxBytes: 1 << 30}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, nil, err
	}
	n := 0
	put := func(payload []byte) error {
		if err := l.Append(topic, func(uint64) ([]byte, error) { return payload, nil }); err != nil {
			return err
		}
		if n++; n%500 == 0 {
			return l.Sync()
		}
		return nil
	}
	head := func() ([]byte, error) {
		records := l.Peek(0, 1)
		if len(records) == 0 {
			return nil, io.EOF
		}
		return records[0].Payload, nil
	}
	return put, l.Close, head, nil
}

// openPaho: a file an event, none synced. What has to be sent is found as the client does it: all names, then each file.
func openPaho(dir string) (func([]byte) error, func() error, func() ([]byte, error), error) {
	s := mqtt.NewFileStore(dir)
	s.Open()
	n := 0
	put := func(payload []byte) error {
		p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		p.Qos, p.TopicName, p.Payload, p.MessageID = 1, topic, payload, uint16(n)
		s.Put("o."+strconv.Itoa(n), p)
		n++
		return nil
	}
	head := func() ([]byte, error) {
		names := s.All()
		if len(names) == 0 {
			return nil, io.EOF
		}
		p, ok := s.Get(names[0]).(*packets.PublishPacket)
		if !ok {
			return nil, io.ErrUnexpectedEOF
		}
		return p.Payload, nil
	}
	return put, func() error { s.Close(); return nil }, head, nil
}

// openAutopaho: a file an event, none synced.
func openAutopaho(dir string) (func([]byte) error, func() error, func() ([]byte, error), error) {
	q, err := file.New(dir, "q", ".msg")
	if err != nil {
		return nil, nil, nil, err
	}
	put := func(payload []byte) error { return q.Enqueue(bytes.NewReader(payload)) }
	head := func() ([]byte, error) {
		entry, err := q.Peek()
		if err != nil {
			return nil, err
		}
		r, err := entry.Reader()
		if err != nil {
			return nil, err
		}
		payload, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		return payload, entry.Leave()
	}
	return put, func() error { return nil }, head, nil
}

func usage(dir string) (bytes int64, files int, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		bytes += blocks(info)
		return nil
	})
	return bytes, files, err
}
