package command

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"xbmedge/agent/internal/mqtt"
)

func TestNodeCheck(t *testing.T) {
	for _, tt := range []struct {
		name string
		seqs string // numbers, and letters for starts of the machine
		want nodeCheck
	}{
		{"in order", "a 7 8 9", nodeCheck{First: 7, Last: 9, Events: 3}},
		{"some again", "a 1 2 3 2 3 4", nodeCheck{First: 1, Last: 4, Events: 4, Duplicates: 2}},
		{"before the first", "a 5 4 6", nodeCheck{First: 5, Last: 6, Events: 2, Duplicates: 1}},
		{"a gap", "a 1 4 5", nodeCheck{First: 1, Last: 5, Events: 3, Missing: 2}},
		{"a gap that is filled", "a 1 5 3 6 2 4 3", nodeCheck{First: 1, Last: 6, Events: 6, Disordered: 3, Duplicates: 1}},
		{"the machine starts again", "a 1 2 b 3 4", nodeCheck{First: 1, Last: 4, Events: 4}},
		{"a power cut", "a 1 2 b 1003 1004", nodeCheck{First: 1, Last: 1004, Events: 4, PowerCuts: 1}},
		{"more than a power cut", "a 1 2 b 1004", nodeCheck{First: 1, Last: 1004, Events: 3, Missing: 1001}},
		{"the same gap without one", "a 1 2 1003", nodeCheck{First: 1, Last: 1003, Events: 3, Missing: 1000}},
		{"the folder is lost", "a 50 51 b 1 2", nodeCheck{First: 50, Last: 2, Events: 4, Renumbered: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got nodeCheck
			boot := ""
			for _, word := range strings.Fields(tt.seqs) {
				m := mqtt.Match{Boot: boot}
				if n, _ := fmt.Sscan(word, &m.Seq); n == 0 {
					boot = word
					continue
				}
				got.see(&m)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(nodeCheck{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestReport(t *testing.T) {
	good, gap, late := &nodeCheck{First: 1, Last: 5, Events: 5, Duplicates: 2}, &nodeCheck{Missing: 1}, &nodeCheck{Disordered: 1}
	for _, tt := range []struct {
		nodes map[string]*nodeCheck
		fault string
	}{
		{map[string]*nodeCheck{"porch": good}, ""},
		{map[string]*nodeCheck{"porch": good, "shed": gap}, "1 events are missing"},
		{map[string]*nodeCheck{"porch": late}, "1 came out of order"},
		{nil, "no event came"},
	} {
		for _, asJSON := range []bool{false, true} {
			var out bytes.Buffer
			err := report(&out, tt.nodes, asJSON)
			if (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("%v: %v, want %q", tt.nodes, err, tt.fault)
			}
			if n := strings.Count(out.String(), "\n"); n != len(tt.nodes) {
				t.Errorf("%d lines for %d nodes: %s", n, len(tt.nodes), out.String())
			}
		}
	}
}
