package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"xbmedge/agent/internal/mqtt"
)

// powerCutGap is how many numbers an agent leaves out after a power cut: events of those numbers may have been sent and
// then be gone from its disk.
const powerCutGap = 1000

// nodeCheck follows the numbers of one node's events.
type nodeCheck struct {
	First      uint64 `json:"first"`
	Last       uint64 `json:"last"`
	Events     int    `json:"events"`     // each number once
	Duplicates int    `json:"duplicates"` // came again, as they may after a lost connection
	Missing    int    `json:"missing"`    // numbers that have not come
	Disordered int    `json:"disordered"` // came after a higher number
	PowerCuts  int    `json:"power_cuts"` // times that numbers were left out with a new start of the machine
	Renumbered int    `json:"renumbered"` // times that the numbers began again: the agent's state folder is a new one

	boot string
	gaps []gap // oldest first, none of them empty
}

type gap struct{ first, last uint64 }

// maxGaps bounds the memory of a listener; of gaps before the latest ones it is not noticed that they are filled.
const maxGaps = 10000

// see takes an event and reports whether it is a new one.
func (n *nodeCheck) see(m *mqtt.Match) bool {
	restarted := n.boot != "" && m.Boot != "" && m.Boot != n.boot
	switch {
	case n.Events == 0:
		n.First = m.Seq
	case m.Seq == n.Last+1:
	case m.Seq > n.Last && restarted && m.Seq-n.Last-1 <= powerCutGap:
		n.PowerCuts++
	case m.Seq > n.Last:
		n.Missing += int(m.Seq - n.Last - 1)
		n.gaps = append(n.gaps, gap{n.Last + 1, m.Seq - 1})
		n.gaps = n.gaps[max(0, len(n.gaps)-maxGaps):]
	case n.fill(m.Seq):
		n.Disordered++
		n.Missing--
		n.Events++
		return true
	case restarted:
		n.Renumbered++
		n.gaps = nil
	default:
		n.Duplicates++
		return false
	}
	n.Last, n.boot = m.Seq, m.Boot
	n.Events++
	return true
}

// fill takes a number out of the gaps.
func (n *nodeCheck) fill(seq uint64) bool {
	i := slices.IndexFunc(n.gaps, func(g gap) bool { return g.first <= seq && seq <= g.last })
	if i < 0 {
		return false
	}
	g := n.gaps[i]
	var rest []gap
	if g.first < seq {
		rest = append(rest, gap{g.first, seq - 1})
	}
	if seq < g.last {
		rest = append(rest, gap{seq + 1, g.last})
	}
	n.gaps = slices.Replace(n.gaps, i, i+1, rest...)
	return true
}

// report prints what was found, a line a node, and returns an error where something is missing or out of order.
func report(w io.Writer, nodes map[string]*nodeCheck, asJSON bool) error {
	missing, disordered := 0, 0
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		n := nodes[name]
		missing, disordered = missing+n.Missing, disordered+n.Disordered
		if asJSON {
			if err := json.NewEncoder(w).Encode(struct {
				Node string `json:"node"`
				*nodeCheck
			}{name, n}); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(w, "%s: seq %d to %d: %d events, %d missing, %d out of order, %d came again, %d power cuts, %d times renumbered\n",
			name, n.First, n.Last, n.Events, n.Missing, n.Disordered, n.Duplicates, n.PowerCuts, n.Renumbered); err != nil {
			return err
		}
	}
	if len(nodes) == 0 {
		return errors.New("check: no event came")
	}
	if missing+disordered > 0 {
		return fmt.Errorf("check: %d events are missing, %d came out of order", missing, disordered)
	}
	return nil
}
