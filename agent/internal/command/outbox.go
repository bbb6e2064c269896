package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/outbox"
	"xbmedge/internal/cli"
)

func outboxGroup() cli.Command {
	return cli.Command{
		Name: "outbox", Summary: "look at the events that wait for the broker",
		Commands: []cli.Command{outboxStat(), outboxDump()},
	}
}

// outboxDir adds the flags that say which outbox is meant.
func outboxDir(f *cli.Flags) (dir func() string) {
	d := f.String("dir", "", "`FOLDER` of the outbox, in place of the one in --state")
	state := f.String("state", config.Default().StateDir, "the agent's state `FOLDER` (state_dir)")
	return func() string {
		if *d != "" {
			return *d
		}
		return (&config.Config{StateDir: *state}).OutboxDir()
	}
}

func outboxStat() cli.Command {
	return cli.Command{
		Name: "stat", Summary: "say how much waits",
		Long: `Reads the outbox of an agent, at work or not, and changes nothing. Ends with 1 where
a part of it is damaged.`,
		Examples: `xbm-agent outbox stat
xbm-agent outbox stat --state /var/lib/xbm-agent --json`,
		Setup: func(f *cli.Flags) cli.Func {
			dir := outboxDir(f)
			asJSON := f.Bool("json", false, "print JSON")
			return func(_ context.Context, _ []string, stdout, _ io.Writer) error { return stat(dir(), *asJSON, stdout) }
		},
	}
}

func outboxDump() cli.Command {
	return cli.Command{
		Name: "dump", Summary: "print the events that wait, oldest first",
		Long:     "Reads the outbox of an agent, at work or not, and changes nothing.",
		Examples: `xbm-agent outbox dump --json | jq .payload.identity.name`,
		Setup: func(f *cli.Flags) cli.Func {
			dir := outboxDir(f)
			asJSON := f.Bool("json", false, `print {"seq","topic","payload"} a line, with the payload as it is if it is JSON`)
			all := f.Bool("all", false, "also those that the broker has confirmed and that are still there")
			return func(_ context.Context, _ []string, stdout, _ io.Writer) error {
				_, err := outbox.Inspect(dir(), *all, func(r outbox.Record) error { return dumpRecord(stdout, r, *asJSON) })
				return err
			}
		},
	}
}

// outboxJSON is what `outbox stat --json` prints.
type outboxJSON struct {
	Waiting  int    `json:"waiting"`
	First    uint64 `json:"first"`     // seq of the oldest that waits, 0 for none
	Last     uint64 `json:"last"`      // the highest seq so far
	Acked    uint64 `json:"confirmed"` // up to this seq
	Events   int    `json:"events"`    // readable ones, also confirmed
	Segments int    `json:"segments"`
	Bytes    int64  `json:"bytes"`
	Damaged  int    `json:"damaged"`
	SetAside int    `json:"set_aside"` // files with damaged bytes
	Torn     int    `json:"torn"`
	Closed   bool   `json:"closed"`
	Boot     string `json:"boot"`
}

func stat(dir string, asJSON bool, stdout io.Writer) error {
	s, err := outbox.Inspect(dir, false, nil)
	if err != nil {
		return err
	}
	if asJSON {
		err = json.NewEncoder(stdout).Encode(outboxJSON{
			s.Waiting, s.First, s.Last, s.Acked, s.Events, s.Segments, s.Bytes, s.Damaged, s.SetAside, s.Torn, s.Closed, s.Boot,
		})
	} else {
		w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "waiting\t%d events", s.Waiting)
		if s.Waiting > 0 {
			fmt.Fprintf(w, ", seq %d to %d", s.First, s.Last)
		}
		fmt.Fprintf(w, "\nconfirmed\tup to seq %d\n", s.Acked)
		fmt.Fprintf(w, "on the disk\t%d bytes in %d files\n", s.Bytes, s.Segments)
		fmt.Fprintf(w, "damaged\t%d places; %d files with their bytes\n", s.Damaged, s.SetAside)
		err = w.Flush()
	}
	if s.Damaged > 0 {
		err = errors.Join(err, fmt.Errorf("%d places of the outbox are damaged: the events in them are lost", s.Damaged))
	}
	return err
}

func dumpRecord(w io.Writer, r outbox.Record, asJSON bool) error {
	if !asJSON {
		_, err := fmt.Fprintf(w, "%d  %s  %s\n", r.Seq, r.Topic, r.Payload)
		return err
	}
	payload, err := rawJSON(r.Payload)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(struct {
		Seq     uint64          `json:"seq"`
		Topic   string          `json:"topic"`
		Payload json.RawMessage `json:"payload"`
	}{r.Seq, r.Topic, payload})
}
