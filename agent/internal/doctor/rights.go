package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"xbmedge/agent/internal/systemd"
)

// What is wanted of a file, as in access(2) and in each of the three digits of a mode.
const (
	toEnter = 1
	toWrite = 2
	toRead  = 4
)

// throughService reports whether files are judged for the service's user rather than for who runs this: root may open
// what the service may not.
func (p *patient) throughService() bool { return p.UID == 0 && p.account != nil }

// barred tells why the agent cannot use a file or folder that is there, and what to do; why is "" when it can. Only the
// file's and its folders' modes are judged for the service's user, no access control lists.
func (p *patient) barred(path string, want uint32) (why, remedy string) {
	if !p.throughService() {
		if err := p.Access(p.real(path), want); err != nil {
			return fmt.Sprintf("%s may not %s %s: %s", p.User, verb(want), path, reason(err)), p.open(path, want, p.User)
		}
		return "", ""
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		absolute = path
	}
	if p.service.installed {
		for _, dir := range []string{"/home", "/root", "/run/user", "/tmp", "/var/tmp"} {
			if absolute == dir || strings.HasPrefix(absolute, dir+"/") {
				return fmt.Sprintf("the service does not see %s, as nothing below %s", path, dir),
					"move it to /var/lib/xbm-agent or /etc/xbm-agent, and name it there"
			}
		}
	}
	for dir := filepath.Dir(absolute); ; dir = filepath.Dir(dir) {
		if f, err := p.Stat(dir); err == nil && !p.allows(f, toEnter) {
			return fmt.Sprintf("the service's user %s may not enter %s", systemd.User, describe(dir, f, p.Group)), "`sudo chmod o+x " + dir + "`"
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	f, err := p.Stat(path)
	if err != nil || p.allows(f, want) {
		return "", ""
	}
	return fmt.Sprintf("the service's user %s may not %s %s", systemd.User, verb(want), describe(path, f, p.Group)), p.open(path, want, systemd.User)
}

// open says how a user gets at a file.
func (p *patient) open(path string, want uint32, user string) string {
	if user != systemd.User && p.account != nil {
		return "run this as root (sudo): it then looks with the eyes of the service's user"
	}
	if want&toWrite != 0 {
		return fmt.Sprintf("`sudo chown -R %s: %s`", user, path)
	}
	return fmt.Sprintf("`sudo chgrp %s %s && sudo chmod g+rX %[2]s`", p.groupOf(user), path)
}

// groupOf is the group a file is given to so that a user may read it: people's own groups are mostly named like them.
func (p *patient) groupOf(user string) string {
	if a, err := p.Account(user); err == nil && len(a.GIDs) > 0 {
		return p.Group(a.GIDs[len(a.GIDs)-1]) // the primary group
	}
	return user
}

// allows reports whether a file's mode lets the service's user do all that is wanted.
func (p *patient) allows(f File, want uint32) bool {
	bits := uint32(f.Mode.Perm())
	switch {
	case f.UID == p.account.UID:
		bits >>= 6
	case slices.Contains(p.account.GIDs, f.GID) || slices.Contains(p.service.groups, p.Group(f.GID)):
		bits >>= 3
	}
	return bits&want == want
}

func verb(want uint32) string {
	switch {
	case want&toWrite != 0:
		return "write"
	case want&toRead != 0:
		return "read"
	}
	return "enter"
}

func describe(path string, f File, group func(uint32) string) string {
	return fmt.Sprintf("%s (mode %04o, group %s)", path, f.Mode.Perm(), group(f.GID))
}

// missing says that something configured under a key is not there.
func missing(r *report, key, path string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		r.fault("put it there, or correct "+key, "%s is not there", path)
		return
	}
	r.fault("look at it with `ls -ld "+path+"`", "%s cannot be looked at: %s", path, reason(err))
}
