package systemd

import (
	_ "embed"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// User is the account the service runs as.
const User = "xbm-agent"

// Unit says what the service's unit file names.
type Unit struct {
	Exec     string        // absolute path of the program
	Config   string        // absolute path of its configuration; the secrets lie in secrets/ beside it
	Devices  bool          // for cameras on this board, not only network cameras
	Watchdog time.Duration // 0 means 30 s
}

//go:embed unit.template
var unitText string

// plain paths mean nothing else in a unit file: no quotes, spaces or specifiers.
var plain = regexp.MustCompile(`^/[A-Za-z0-9_./+@-]*$`)

// File returns the unit file's text.
func (u Unit) File() ([]byte, error) {
	for _, path := range []string{u.Exec, u.Config} {
		if !plain.MatchString(path) {
			return nil, fmt.Errorf("%q: a unit file wants an absolute path of letters, digits and _ . / + @ -", path)
		}
		for _, hidden := range []string{"/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"} {
			if strings.HasPrefix(path, hidden) {
				return nil, fmt.Errorf("%s: the service sees nothing below %s; install the package, or put it under /usr/local or /opt", path, hidden)
			}
		}
	}
	if u.Watchdog <= 0 {
		u.Watchdog = 30 * time.Second
	}
	groups, devices := "", "PrivateDevices=yes\nDevicePolicy=closed\n"
	if u.Devices {
		groups, devices = "SupplementaryGroups=video\n", cameraDevices
	}
	// text/template would do, and make every program that links it a third larger.
	return []byte(strings.NewReplacer(
		"{{exec}}", u.Exec, "{{config}}", u.Config, "{{secrets}}", filepath.Join(filepath.Dir(u.Config), "secrets"),
		"{{user}}", User, "{{watchdog}}", u.Watchdog.String(), "{{groups}}", groups, "{{devices}}", devices,
	).Replace(unitText)), nil
}

// cameraDevices are V4L2's, and those that libcamera needs.
const cameraDevices = `DevicePolicy=closed
DeviceAllow=char-video4linux rw
DeviceAllow=char-media rw
DeviceAllow=char-dma_heap rw
`
