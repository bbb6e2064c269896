package doctor

import (
	"context"
	"maps"
	"slices"
	"strings"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/systemd"
)

func (p *patient) lookAtPermissions(_ context.Context, r *report) {
	p.lookAtState(r)
	if p.path != "" {
		p.lookAtConfigurationFile(r)
	}
	if p.loaded {
		p.lookAtSecrets(r)
	}
}

func (p *patient) lookAtState(r *report) {
	dir := p.cfg.StateDir
	owner := p.User
	if p.account != nil {
		owner = systemd.User
	}
	f, err := p.Stat(dir)
	if err != nil {
		r.fault("`sudo install -d -o "+owner+" -m 0750 "+dir+"`", "there is no state folder %s: %s", dir, reason(err))
		return
	}
	if !f.Mode.IsDir() {
		r.fault("name a folder in state_dir", "%s is no folder", dir)
		return
	}
	why, remedy := p.barred(dir, toWrite|toEnter)
	switch {
	case why == "":
		r.ok("the state folder %s can be written", dir)
	case p.account != nil && !p.throughService() && p.User != systemd.User:
		// It may well be the service's alone.
		r.warn("`sudo xbm-agent doctor` judges it for the service's user", "%s", why)
	default:
		r.fault(remedy, "%s", why)
	}
}

func (p *patient) lookAtConfigurationFile(r *report) {
	f, err := p.Stat(p.path)
	if err != nil {
		return // it did not load: that is told already
	}
	if why, remedy := p.barred(p.path, toRead); why != "" {
		r.fault(remedy, "%s", why)
	}
	if p.inline && f.Mode.Perm()&toRead != 0 {
		r.warn("`sudo chmod o-r "+p.path+"`, or better, put the password into a password_file", "everybody on this board may read the password in %s", p.path)
	}
}

func (p *patient) lookAtSecrets(r *report) {
	if p.secrets != nil {
		for _, fault := range lines(p.secrets) {
			r.fault("write it so that only root can read it: `sudo install -m 0600 /dev/stdin FILE`, then the password and Ctrl-D", "%s", fault)
		}
	}
	files := p.cfg.PasswordFiles()
	for _, key := range slices.Sorted(maps.Keys(files)) {
		path, err := config.SecretFile(files[key], p.path)
		if err != nil {
			continue // told above
		}
		f, err := p.Stat(path)
		if err != nil {
			continue
		}
		if f.Mode.Perm()&toRead != 0 {
			r.warn("`sudo chmod 600 "+path+"`", "everybody on this board may read the password in %s (%s)", path, key)
			continue
		}
		if p.throughService() && !strings.HasPrefix(files[key], "secret:") { // systemd hands those over
			if why, _ := p.barred(path, toRead); why != "" {
				r.fault("`sudo chown "+systemd.User+" "+path+"`, or let systemd hand it over: "+key+": secret:NAME", "%s", why)
				continue
			}
		}
		r.ok("%s is there (%s)", path, key)
	}
}
