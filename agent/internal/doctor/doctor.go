// Package doctor looks at all that keeps an agent from working on a board, and says of each fault what to do.
package doctor

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"xbmedge/agent/internal/config"
	"xbmedge/internal/redact"
)

// Level says how bad a finding is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warning Level = "warning" // the agent works, but not as well as it could
	Fault   Level = "FAULT"   // the agent, or a part of it, does not work
)

// Finding is what one look found. It holds no secrets.
type Finding struct {
	Check  string `json:"check"` // configuration, camera front_door, …
	Level  Level  `json:"level"`
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"` // what to do about a warning or a fault
}

// limit is the time a check may take. Those that wait for the network have limits of their own below it.
const limit = 10 * time.Second

// patient is what is looked at. Checks run at the same time and change nothing in it.
type patient struct {
	*Host
	path     string         // of the configuration, "" for none
	cfg      *config.Config // the defaults where it does not load
	loaded   bool           // the configuration did
	inline   bool           // a password stands in the configuration itself
	secrets  error          // why passwords cannot be read
	account  *Account       // the service's user, nil where there is none
	service  service
	hidden   []string // passwords, which no finding shows
	findings []Finding
}

// check is one group of looks. Its findings are kept in the order of the checks.
type check struct {
	name string
	run  func(ctx context.Context, r *report)
}

// report takes the findings of one check.
type report struct {
	name     string
	findings []Finding
}

func (r *report) ok(format string, args ...any) {
	r.findings = append(r.findings, Finding{r.name, OK, fmt.Sprintf(format, args...), ""})
}

func (r *report) warn(remedy, format string, args ...any) {
	r.findings = append(r.findings, Finding{r.name, Warning, fmt.Sprintf(format, args...), remedy})
}

func (r *report) fault(remedy, format string, args ...any) {
	r.findings = append(r.findings, Finding{r.name, Fault, fmt.Sprintf(format, args...), remedy})
}

// Run looks at everything, with the configuration at path (none where that is empty) and the settings over it. It comes
// to its end whatever it finds: a check that fails or hangs is a finding. A hanging one leaves its goroutine behind, as
// the kernel cannot be interrupted everywhere; the program is meant to end soon after.
func Run(ctx context.Context, host *Host, path string, set ...string) []Finding {
	p := &patient{Host: host, path: path}
	first := &report{name: "configuration"}
	p.load(first, set)
	p.findings = first.findings
	found := make(chan service, 1) // and not a field: a check that hangs must not write beside the others
	p.run(ctx, check{"service", func(ctx context.Context, r *report) { p.lookAtService(ctx, r, found) }})
	select {
	case p.service = <-found:
	default:
	}
	serviceFindings := p.findings[len(first.findings):]
	p.findings = p.findings[:len(first.findings):len(first.findings)]

	checks := append(p.machineChecks(), check{"permissions", p.lookAtPermissions})
	if p.loaded {
		checks = append(checks, check{"model", p.lookAtModel})
		checks = append(checks, p.cameraChecks()...)
		checks = append(checks, check{"broker", p.lookAtBroker})
	}
	p.run(ctx, checks...)
	p.findings = append(p.findings, serviceFindings...)
	for i := range p.findings {
		f := &p.findings[i]
		f.Found, f.Remedy = p.line(f.Found), p.line(f.Remedy)
	}
	return p.findings
}

// line makes a text one line without secrets.
func (p *patient) line(text string) string {
	return redact.Text(strings.Join(strings.Fields(text), " "), p.hidden...)
}

// run carries out checks at the same time and adds what they find.
func (p *patient) run(ctx context.Context, checks ...check) {
	ctx, cancel := context.WithTimeout(ctx, p.Limit)
	defer cancel()
	results := make([]chan []Finding, len(checks))
	for i, c := range checks {
		results[i] = make(chan []Finding, 1) // so that one who comes late is not kept
		go func() { results[i] <- c.do(ctx) }()
	}
	for i, c := range checks {
		select {
		case f := <-results[i]:
			p.findings = append(p.findings, f...)
			continue
		case <-ctx.Done():
		}
		select {
		case f := <-results[i]: // it was ready, too
			p.findings = append(p.findings, f...)
		case <-time.After(p.Limit / 10): // those that heed the context say more of what they waited for
			p.findings = append(p.findings, Finding{
				c.name, Fault, fmt.Sprintf("no answer within %v", p.Limit),
				"`sudo dmesg | tail` may tell which device or disk hangs; start the board again",
			})
		}
	}
}

// do carries out a check; a panic in it is a finding.
func (c check) do(ctx context.Context) (findings []Finding) {
	r := &report{name: c.name}
	defer func() {
		if cause := recover(); cause != nil {
			r.fault("report this, with `xbm-agent support-bundle`", "the check itself failed: %v", cause)
		}
		findings = r.findings
	}()
	c.run(ctx, r)
	return r.findings
}

// Count returns the numbers of faults and warnings.
func Count(findings []Finding) (faults, warnings int) {
	for _, f := range findings {
		switch f.Level {
		case Fault:
			faults++
		case Warning:
			warnings++
		case OK:
		}
	}
	return faults, warnings
}

// WriteText writes a line for each finding, in columns.
func WriteText(w io.Writer, findings []Finding) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		text := f.Found
		if f.Remedy != "" {
			text += " → " + f.Remedy
		}
		fmt.Fprintf(columns, "%s\t%s\t%s\n", f.Level, f.Check, text)
	}
	return columns.Flush()
}
