package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
)

func listen(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := cli.Flags("xbm-agent listen", stderr)
	broker := fs.String("broker", "tcp://localhost:1883", "broker URL")
	username := fs.String("username", "", "user at the broker")
	passwordFile := fs.String("password-file", "", "file with the password")
	ca := fs.String("ca", "", "file with certificates to trust instead of the system's")
	topic := fs.String("topic", "xbm/#", "topics to listen to, separated by commas")
	asJSON := fs.Bool("json", false, `print {"topic","retained","payload"} a line, with the payload as it came if it is JSON`)
	countFile := fs.String("count-file", "", "write the counts to this file at the end (JSON)")
	readyFile := fs.String("ready-file", "", "make this file once listening")
	untilOffline := fs.Bool("exit-after-offline", false, "end when a node goes offline")
	if err := cli.ParseOnly(fs, args); err != nil {
		return err
	}
	tlsConfig, err := mqtt.TLSFiles{CA: *ca}.Config()
	if err != nil {
		return err
	}
	cfg := mqtt.Config{Broker: *broker, Username: *username, TLS: tlsConfig}
	if *passwordFile != "" {
		data, err := os.ReadFile(*passwordFile)
		if err != nil {
			return fmt.Errorf("--password-file: %w", err)
		}
		cfg.Password = strings.TrimRight(string(data), "\r\n")
	}
	l := &listener{out: stdout, asJSON: *asJSON, untilOffline: *untilOffline, seqs: map[string]uint64{}}
	onReady := func() error { return nil }
	if *readyFile != "" {
		onReady = func() error { return atomicfile.WriteBytes(*readyFile, 0o644, []byte("ready\n")) }
	}
	log := newLogger(stderr, config.Log{Level: "info"})
	err = mqtt.Listen(ctx, cfg, strings.Split(*topic, ","), log, onReady, l.handle)
	if *countFile != "" {
		err = errors.Join(err, atomicfile.WriteJSON(*countFile, 0o644, l.counts))
	}
	return errors.Join(err, l.err)
}

// counts is what --count-file holds.
type counts struct {
	Messages   int `json:"messages"`   // all
	Events     int `json:"events"`     // on …/match, each seq once
	Recognized int `json:"recognized"` // of those, new ones of known things
	Unknown    int `json:"unknown"`    // of those, new ones of unknown things
	Duplicates int `json:"duplicates"` // events that came again
	Missing    int `json:"missing"`    // numbers left out in seq
}

// listener prints and counts.
type listener struct {
	out          io.Writer
	asJSON       bool
	untilOffline bool
	counts       counts
	seqs         map[string]uint64 // newest of each node
	err          error
}

// handle takes one message and reports whether more are wanted.
func (l *listener) handle(m mqtt.Message) bool {
	l.counts.Messages++
	var match mqtt.Match
	isMatch := strings.HasSuffix(m.Topic, "/match") && json.Unmarshal(m.Payload, &match) == nil
	if isMatch {
		l.count(&match)
	}
	switch {
	case l.asJSON:
		l.err = l.printJSON(m)
	case isMatch:
		_, l.err = fmt.Fprintln(l.out, matchLine(&match))
	case strings.HasSuffix(m.Topic, "/status"):
		_, l.err = fmt.Fprintf(l.out, "%s  %s: %.20s\n", time.Now().Format(time.TimeOnly), m.Topic, m.Payload)
	}
	if l.err != nil { // nobody reads any more
		return false
	}
	gone := !m.Retained && string(m.Payload) == "offline" && strings.Count(m.Topic, "/") == 2 && strings.HasSuffix(m.Topic, "/status")
	return !l.untilOffline || !gone
}

func (l *listener) count(m *mqtt.Match) {
	last := l.seqs[m.Node]
	switch {
	case m.Seq <= last:
		l.counts.Duplicates++
		return
	case last > 0 && m.Seq > last+1:
		l.counts.Missing += int(m.Seq - last - 1)
	}
	l.seqs[m.Node] = m.Seq
	l.counts.Events++
	switch {
	case m.Type == "new" && m.Known:
		l.counts.Recognized++
	case m.Type == "new":
		l.counts.Unknown++
	}
}

func matchLine(m *mqtt.Match) string {
	when := time.UnixMicro(int64(m.TS * 1e6)).Format("15:04:05.000")
	return fmt.Sprintf("%s  %-12s %-6s %-10s %-24s score %.3f  margin %.3f  frames %d",
		when, m.Camera, m.Type, m.EventType, m.Identity.Name, m.Score, m.Margin, m.Frames)
}

func (l *listener) printJSON(m mqtt.Message) error {
	line := struct {
		Topic    string          `json:"topic"`
		Retained bool            `json:"retained"`
		Payload  json.RawMessage `json:"payload"`
	}{m.Topic, m.Retained, m.Payload}
	if !json.Valid(m.Payload) {
		text, err := json.Marshal(string(m.Payload))
		if err != nil {
			return err
		}
		line.Payload = text
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, line.Payload); err == nil {
		line.Payload = compact.Bytes()
	}
	return json.NewEncoder(l.out).Encode(line)
}
