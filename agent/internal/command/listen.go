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

// listenFlags is the command line of listen.
type listenFlags struct {
	broker, username, passwordFile, ca, topic string
	json, untilOffline, check                 bool
	countFile, readyFile                      string
}

func listen() cli.Command {
	return cli.Command{
		Name: "listen", Summary: "print what arrives at a broker",
		Long: `Prints a line for everything that an agent recognises, and for agents that come
and go, until it is interrupted.`,
		Examples: `xbm-agent listen --broker tcp://localhost:1883
xbm-agent listen --topic 'xbm/porch/#' --json
xbm-agent listen --check`,
		Setup: func(f *cli.Flags) cli.Func {
			var o listenFlags
			f.StringVar(&o.broker, "broker", "tcp://localhost:1883", "broker `URL`")
			f.StringVar(&o.username, "username", "", "`USER` at the broker")
			f.StringVar(&o.passwordFile, "password-file", "", "`FILE` with the password")
			f.StringVar(&o.ca, "ca", "", "`FILE` with certificates to trust instead of the system's")
			f.StringVar(&o.topic, "topic", "xbm/#", "`TOPIC` to listen to, or several separated by commas")
			f.BoolVar(&o.json, "json", false, `print {"topic","retained","payload"} a line, with the payload as it came if it is JSON`)
			f.StringVar(&o.countFile, "count-file", "", "write the counts to this `FILE` at the end (JSON)")
			f.StringVar(&o.readyFile, "ready-file", "", "make this `FILE` once listening")
			f.BoolVar(&o.check, "check", false, "at the end, say for each node whether events are missing, came again or out of order, by their seq; "+
				"ends with 1 if any is missing or out of order, or none came")
			f.BoolVar(&o.untilOffline, "exit-after-offline", false, "end when a node goes offline")
			return o.run
		},
	}
}

func (o *listenFlags) run(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	cfg := mqtt.Config{Broker: o.broker, Username: o.username, TLS: mqtt.TLSFiles{CA: o.ca}}
	if _, err := cfg.TLS.Config(); err != nil {
		return fmt.Errorf("--ca: %w", err)
	}
	if o.passwordFile != "" {
		data, err := os.ReadFile(o.passwordFile)
		if err != nil {
			return fmt.Errorf("--password-file: %w", err)
		}
		cfg.Password = strings.TrimRight(string(data), "\r\n")
	}
	l := &listener{out: stdout, asJSON: o.json, untilOffline: o.untilOffline, nodes: map[string]*nodeCheck{}}
	onReady := func() error { return nil }
	if o.readyFile != "" {
		onReady = func() error { return atomicfile.WriteBytes(o.readyFile, 0o644, []byte("ready\n")) }
	}
	log := newLogger(stderr, config.Log{Level: "info"})
	err := mqtt.Listen(ctx, cfg, strings.Split(o.topic, ","), log, onReady, l.handle)
	if o.check && err == nil && l.err == nil {
		err = report(stdout, l.nodes, o.json)
	}
	if o.countFile != "" {
		err = errors.Join(err, atomicfile.WriteJSON(o.countFile, 0o644, l.counts))
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
	nodes        map[string]*nodeCheck
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
	n := l.nodes[m.Node]
	if n == nil {
		n = &nodeCheck{}
		l.nodes[m.Node] = n
	}
	before := n.Missing
	isNew := n.see(m)
	l.counts.Missing += n.Missing - before
	if !isNew {
		l.counts.Duplicates++
		return
	}
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
	payload, err := rawJSON(m.Payload)
	if err != nil {
		return err
	}
	return json.NewEncoder(l.out).Encode(struct {
		Topic    string          `json:"topic"`
		Retained bool            `json:"retained"`
		Payload  json.RawMessage `json:"payload"`
	}{m.Topic, m.Retained, payload})
}

// rawJSON returns JSON on one line, and anything else as a JSON text.
func rawJSON(payload []byte) (json.RawMessage, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, payload); err == nil {
		return compact.Bytes(), nil
	}
	return json.Marshal(string(payload))
}
