package doctor

import (
	"context"
	"strings"

	"xbmedge/agent/internal/systemd"
)

// service is what other checks want to know of the service.
type service struct {
	installed bool
	groups    []string // that the unit adds to the user's
}

const readJournal = "`journalctl -u xbm-agent -n 50 --no-pager` tells why, in its last lines"

func (p *patient) lookAtService(ctx context.Context, r *report, found chan<- service) {
	manager, err := p.Systemd()
	if err != nil {
		r.ok("%v", err)
		return
	}
	s, err := manager.Status(ctx)
	if err != nil {
		r.warn("ask it yourself: `systemctl status xbm-agent`", "systemd does not tell of the service: %v", err)
		return
	}
	if s.Unit == "" {
		r.ok("not installed: the agent runs when somebody starts it")
		return
	}
	found <- service{true, unitGroups(ctx, manager)}
	switch {
	case s.State == "failed":
		r.fault(readJournal, "the service has failed (%s, exit code %d)", s.Result, s.ExitCode)
	case s.Detail == "auto-restart":
		r.fault(readJournal, "the service ends and is restarted, %d times until now (%s, exit code %d)", s.Restarts, s.Result, s.ExitCode)
	case s.State == "active" && s.Restarts > 0:
		r.warn(readJournal, "the service runs, but had to be restarted %d times", s.Restarts)
	case s.State == "active" && s.Enabled == "disabled":
		r.warn("`sudo systemctl enable xbm-agent`", "the service runs, but will not be started with the board")
	case s.State == "active" || s.State == "reloading":
		r.ok("the service runs since %s: %s", s.Since, s.Text)
	case s.State == "activating":
		r.ok("the service is starting")
	default:
		r.warn("`sudo systemctl enable --now xbm-agent`", "the service does not run (%s)", s.State)
	}
}

// unitGroups asks for the unit's supplementary groups; without an answer there are none.
func unitGroups(ctx context.Context, manager *systemd.Service) []string {
	out, err := manager.Systemctl(ctx, "show", systemd.Name, "--property", "SupplementaryGroups")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(out) {
		if groups, ok := strings.CutPrefix(strings.TrimSpace(line), "SupplementaryGroups="); ok {
			return strings.Fields(groups)
		}
	}
	return nil
}
