package report

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"xbmedge/convert/internal/cost"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
)

// Profile is what a model asks of the machine it runs on.
type Profile struct {
	Bytes      int         `json:"bytes"` // of the file
	MACs       int64       `json:"macs"`
	Parameters int         `json:"parameters"`
	Operators  []Operators `json:"operators"` // by name and types, the costliest first
	Memory     Memory      `json:"memory"`
	Timings    []Timing    `json:"timings"` // on this machine
}

// Operators are those of one name and one type in a model.
type Operators struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"` // the types they work on
	Count int    `json:"count"`
	Taken int    `json:"xnnpack"` // of them XNNPACK computes, as the interpreter's plan says
	MACs  int64  `json:"macs"`
}

// Memory is in bytes. What the plan of an opened model does not tell is 0.
type Memory struct {
	Live  int `json:"live"`  // values alive at once, by the file
	Arena int `json:"arena"` // that the interpreter keeps outside of XNNPACK
	Held  int `json:"held"`  // all that the opened model takes, with its file and packed weights, as malloc says
}

// Timing is how long one frame takes once it lies in the input, in milliseconds.
type Timing struct {
	Threads int     `json:"threads"`
	Median  float64 `json:"median_ms"`
	Fastest float64 `json:"fastest_ms"`
	Runs    int     `json:"runs"`
}

// maxThreads is the most that is timed; boards have four.
const maxThreads = 8

// ProfileModels opens the models, counts and times them in turns, so that what else the machine does meets all. It
// should run alone in the process. The profiles are in the models' order.
func ProfileModels(ctx context.Context, budget time.Duration, models ...[]byte) ([]*Profile, error) {
	profiles := make([]*Profile, len(models))
	for i, model := range models {
		p, err := describe(model)
		if err != nil {
			return nil, fmt.Errorf("profile: %w", err)
		}
		profiles[i] = p
	}
	for threads := 1; threads <= min(runtime.NumCPU(), maxThreads); threads++ {
		timings, err := clock(ctx, budget, threads, models)
		if err != nil {
			return nil, fmt.Errorf("profile: %w", err)
		}
		for i, t := range timings {
			profiles[i].Timings = append(profiles[i].Timings, t)
		}
	}
	return profiles, nil
}

// describe returns what a model's file and its interpreter's plan say, without timings.
func describe(model []byte) (p *Profile, err error) {
	file, err := tflitefile.Decode(model)
	if err != nil {
		return nil, err
	}
	before := tflite.HeapInUse()
	i, err := tflite.Open(model, tflite.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	if err := i.Invoke(); err != nil {
		return nil, err
	}
	costs := cost.Of(file)
	p = &Profile{Bytes: len(model), Operators: Group(costs, i.Taken())}
	p.MACs, p.Parameters = cost.Total(costs)
	p.Memory = Memory{Live: cost.PeakLive(file), Arena: i.Arena(), Held: max(tflite.HeapInUse()-before, 0)}
	return p, nil
}

// Group counts operators by name and types, of which XNNPACK computes those taken: the costliest first, then the most.
func Group(all []cost.Operator, taken []int) []Operators {
	var groups []Operators
	for i := range all {
		o := &all[i]
		k := slices.IndexFunc(groups, func(g Operators) bool { return g.Name == o.Name && g.Kind == o.Kind })
		if k < 0 {
			k = len(groups)
			groups = append(groups, Operators{Name: o.Name, Kind: o.Kind})
		}
		groups[k].Count++
		groups[k].MACs += o.MACs
		if slices.Contains(taken, o.Index) {
			groups[k].Taken++
		}
	}
	slices.SortStableFunc(groups, func(a, b Operators) int {
		if a.MACs != b.MACs {
			return int(min(max(b.MACs-a.MACs, -1), 1))
		}
		return b.Count - a.Count
	})
	return groups
}

const (
	rounds  = 5   // the models take turns that often
	warmUp  = 2   // runs before every turn that are not counted
	maxRuns = 100 // runs of a turn at most, whatever the budget
)

// clock times the models on that many threads each.
func clock(ctx context.Context, budget time.Duration, threads int, models [][]byte) (timings []Timing, err error) {
	interpreters := make([]*tflite.Interpreter, len(models))
	defer func() {
		for _, i := range interpreters {
			if i != nil {
				err = errors.Join(err, i.Close())
			}
		}
	}()
	for k, model := range models {
		if interpreters[k], err = tflite.Open(model, tflite.Options{Threads: threads}); err != nil {
			return nil, err
		}
	}
	took := make([][]time.Duration, len(models))
	for range rounds {
		for k, i := range interpreters {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if took[k], err = turn(i, budget/rounds, took[k]); err != nil {
				return nil, err
			}
		}
	}
	for _, t := range took {
		slices.Sort(t)
		timings = append(timings, Timing{
			Threads: threads, Median: milliseconds(t[len(t)/2]), Fastest: milliseconds(t[0]), Runs: len(t),
		})
	}
	return timings, nil
}

// turn appends the durations of as many runs as the budget allows, and of one where it allows none.
func turn(i *tflite.Interpreter, budget time.Duration, took []time.Duration) ([]time.Duration, error) {
	for range warmUp {
		if err := i.Invoke(); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	for run := 0; run == 0 || run < maxRuns && time.Since(start) < budget; run++ {
		before := time.Now()
		if err := i.Invoke(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(before))
	}
	return took, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
