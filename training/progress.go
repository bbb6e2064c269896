package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"xbmedge/training/internal/trainer"
)

var _ trainer.Progress = (*progress)(nil)

// progress shows how a run comes along: a bar that is drawn over on a terminal, plain lines elsewhere.
type progress struct {
	out       io.Writer
	terminal  bool
	started   time.Time // of the first step of this process
	firstStep int
	drawn     time.Time
	open      bool   // a bar stands on the current line
	name      string // of the part under way
	tenth     int    // its last tenth that was printed
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, tenth: -1}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// redraw is how often the bar is drawn.
const redraw = 100 * time.Millisecond

func (p *progress) Prepare(what string, share float64) { p.part(what, share) }

// part shows how much of a part of the work is done.
func (p *progress) part(name string, share float64) {
	if name != p.name {
		p.end()
		p.name, p.tenth = name, -1
	}
	if p.terminal {
		p.bar(share, name)
		return
	}
	if tenth := int(share * 10); tenth > p.tenth {
		p.tenth = tenth
		fmt.Fprintf(p.out, "%s: %3.0f %%\n", name, 100*share)
	}
}

func (p *progress) Step(s *trainer.StepReport) {
	if p.started.IsZero() {
		p.started, p.firstStep = time.Now(), s.Step
	}
	if !p.terminal {
		return
	}
	left := "?"
	if done := s.Step - p.firstStep; done > 0 {
		each := time.Since(p.started) / time.Duration(done)
		left = (each * time.Duration(s.Steps-s.Step)).Round(time.Second).String()
	}
	memory := ""
	if s.MemorySize > 0 {
		memory = fmt.Sprintf("  memory %.0f %%", 100*float64(s.Memory)/float64(s.MemorySize))
	}
	p.bar(float64(s.Step)/float64(s.Steps), fmt.Sprintf("step %d/%d  loss %.4f%s  %.0f images/s  %s left",
		s.Step, s.Steps, s.Loss, memory, s.ImagesPerSec, left))
}

func (p *progress) Evaluated(m *trainer.Metrics) {
	p.end()
	best := ""
	if m.Best {
		best = "  best"
	}
	old := ""
	if m.CompatibleMAP > 0 {
		old = fmt.Sprintf("  in the old gallery recall@1 %.4f mAP %.4f", m.CompatibleRecallAt1, m.CompatibleMAP)
	}
	fmt.Fprintf(p.out, "step %5d  loss %.4f  recall@1 %.4f  recall@5 %.4f  mAP %.4f%s  memory %d  %.0f images/s%s\n",
		m.Step, m.Loss, m.RecallAt1, m.RecallAt5, m.MAP, old, m.Memory, m.ImagesPerSec, best)
}

func (p *progress) bar(share float64, text string) {
	if time.Since(p.drawn) < redraw && share < 1 {
		return
	}
	p.drawn, p.open = time.Now(), true
	const width = 30
	full := min(int(share*width), width)
	fmt.Fprintf(p.out, "\r\x1b[K[%s%s] %3.0f %%  %s", strings.Repeat("=", full), strings.Repeat(" ", width-full), 100*share, text)
}

// end leaves the line of the bar.
func (p *progress) end() {
	if p.open {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.open = false
	}
}
