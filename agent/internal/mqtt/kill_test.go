package mqtt_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/outbox"
)

// killed is what TestKills runs again and again, and kills: an outbox, a client, and somebody who tells events. A line of
// the ledger is the number of an event that was accepted: Append and Sync have returned.
func killed(dir, url string, events int) error {
	l, err := outbox.Open(outbox.Config{Dir: filepath.Join(dir, "outbox")}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	cfg := fast(url)
	cfg.Keeps, cfg.AckTimeout = true, patience
	client, err := mqtt.New(cfg, l, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	ledger, err := os.OpenFile(filepath.Join(dir, "ledger"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	for events > 0 {
		var line []byte
		n := min(events, 1+rand.IntN(20))
		events -= n
		for range n {
			err := client.Event("b/n/c/match", func(seq uint64) ([]byte, error) {
				line = append(strconv.AppendUint(line, seq, 10), '\n')
				return fmt.Appendf(nil, "%d %0800d", seq, 0), nil
			})
			if err != nil {
				return err
			}
		}
		if err := l.Sync(); err != nil {
			return err
		}
		if _, err := ledger.Write(line); err != nil {
			return err
		}
	}
	cancel()
	if err := <-done; err != nil {
		return err
	}
	return l.Close()
}

// Whatever a killed process had accepted reaches a subscriber, in order, and no number is left out or used twice.
func TestKills(t *testing.T) {
	if dir := os.Getenv("XBM_TEST_KILLED"); dir != "" {
		events, err := strconv.Atoi(os.Getenv("XBM_TEST_EVENTS"))
		if err == nil {
			err = killed(dir, os.Getenv("XBM_TEST_BROKER"), events)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	kills, total := 15, 3000
	if os.Getenv("XBM_CHAOS") != "" {
		kills, total = 1000, 100_000
	}
	url, name := anyBroker(t)
	dir := t.TempDir()
	sub := subscribe(t, url, "b/n/c/match")
	delivered, last := map[uint64]bool{}, uint64(0)
	duplicates, disordered := 0, 0
	take := func(m mqtt.Message) {
		var seq uint64
		if _, err := fmt.Sscan(string(m.Payload), &seq); err != nil {
			t.Fatalf("payload %.40q", m.Payload)
		}
		switch {
		case delivered[seq]:
			duplicates++
		case seq < last:
			disordered++
		}
		delivered[seq] = true
		last = max(last, seq)
	}
	child := func(events int) *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKills$")
		cmd.Env = append(os.Environ(), "XBM_TEST_KILLED="+dir, "XBM_TEST_BROKER="+url, "XBM_TEST_EVENTS="+strconv.Itoa(events))
		return cmd
	}
	book := &ledger{path: filepath.Join(dir, "ledger")}
	at, started := 0, time.Now()
	for range kills {
		cmd := child(1 << 30)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// It is killed when it has accepted its share, and then at any moment.
		at += total / kills
		for deadline := time.After(patience); len(book.more(t)) < at; {
			select {
			case m := <-sub.messages:
				take(m)
			case <-time.After(2 * time.Millisecond):
			case <-deadline:
				t.Fatal("it accepts no events")
			}
		}
		time.Sleep(time.Duration(rand.IntN(8000)) * time.Microsecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}
	if out, err := child(1 + max(0, total-len(book.more(t)))).CombinedOutput(); err != nil { // what is left, and an end as it should be
		t.Fatalf("%v\n%s", err, out)
	}
	accepted := book.more(t)
	for deadline := time.After(patience); last < accepted[len(accepted)-1]; {
		select {
		case m := <-sub.messages:
			take(m)
		case <-deadline:
			t.Fatalf("up to %d came, up to %d were accepted", last, accepted[len(accepted)-1])
		}
	}
	lost := 0
	for i, seq := range accepted {
		if !delivered[seq] {
			lost++
		}
		if i > 0 && seq <= accepted[i-1] {
			t.Errorf("number %d was given out after %d", seq, accepted[i-1])
		}
	}
	if gaps := int(last) - len(delivered); lost > 0 || gaps > 0 || disordered > 0 {
		t.Errorf("%d of %d accepted events are lost, %d numbers are missing, %d came out of order", lost, len(accepted), gaps, disordered)
	}
	t.Logf("%s: %d kills in %v; %d events accepted, %d delivered, %d lost, %d missing numbers, %d duplicates that seq tells, %d out of order",
		name, kills, time.Since(started).Round(time.Second), len(accepted), len(delivered), lost, int(last)-len(delivered), duplicates, disordered)
}

// ledger reads the numbers of the accepted events as they come. A line that is being written is left out.
type ledger struct {
	path string
	read int64
	seqs []uint64
}

func (l *ledger) more(t *testing.T) []uint64 {
	t.Helper()
	f, err := os.Open(l.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(l.read, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return l.seqs
		}
		seq, err := strconv.ParseUint(line[:len(line)-1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		l.read += int64(len(line))
		l.seqs = append(l.seqs, seq)
	}
}
