package doctor

import (
	"errors"
	"io/fs"
	"net/url"
	"slices"
	"strings"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/systemd"
)

// load reads the configuration. Each of its faults is a finding.
func (p *patient) load(r *report, set []string) {
	if account, err := p.Account(systemd.User); err == nil {
		p.account = account
	}
	cfg, err := config.Read(p.configFile(), set...)
	if err != nil {
		p.cfg = config.Default()
		if p.path == "" && len(set) == 0 {
			r.fault("name the file with --config, or put it where the service expects it, /etc/xbm-agent/agent.yaml",
				"no configuration: model, gallery, cameras and broker are not looked at")
			return
		}
		if errors.Is(err, fs.ErrPermission) {
			r.fault("run this as root (sudo)", "%s may not read %s", p.User, p.path)
			return
		}
		if errors.Is(err, fs.ErrNotExist) {
			r.fault("write it, or name another with --config; model, gallery, cameras and broker are not looked at before", "there is no configuration %s", p.path)
			return
		}
		for _, fault := range lines(err) {
			r.fault("correct it; model, gallery, cameras and broker are not looked at before", "%s", fault)
		}
		return
	}
	p.cfg, p.loaded = cfg, true
	p.inline = cfg.MQTT.Password != "" || slices.ContainsFunc(cfg.MQTT.Brokers(), hasPassword)
	for _, cam := range cfg.Cameras {
		p.inline = p.inline || hasPassword(cam.Address)
	}
	p.secrets = cfg.ReadPasswords(p.configFile())
	p.hidden = cfg.Secrets()
	name := p.path
	if name == "" {
		name = "settings of the command line and the environment"
	}
	r.ok("%s is good: node %s, %d cameras", name, cfg.Node, len(cfg.Cameras))
}

// configFile is where the configuration is found, "" for none.
func (p *patient) configFile() string {
	if p.path == "" {
		return ""
	}
	return p.real(p.path)
}

// lines returns the errors joined in err.
func lines(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

func hasPassword(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return false
	}
	_, has := u.User.Password()
	return has
}

// encrypted reports whether the broker or a camera is reached through TLS.
func (p *patient) encrypted() bool {
	secure := func(address string) bool {
		scheme, _, _ := strings.Cut(address, "://")
		switch scheme {
		case "ssl", "tls", "mqtts", "wss", "rtsps":
			return true
		}
		return false
	}
	if slices.ContainsFunc(p.cfg.MQTT.Brokers(), secure) {
		return true
	}
	for _, cam := range p.cfg.Cameras {
		if cam.Enabled && secure(cam.Address) {
			return true
		}
	}
	return false
}
