package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/systemd"
	"xbmedge/camera"
)

// connectTime is how long a camera or a broker may take to answer.
const connectTime = 5 * time.Second

// cameraChecks are one check for each camera that is switched on.
func (p *patient) cameraChecks() []check {
	var checks []check
	for _, id := range slices.Sorted(maps.Keys(p.cfg.Cameras)) {
		cam := p.cfg.Cameras[id]
		if !cam.Enabled {
			continue
		}
		key := "cameras." + id + ".address"
		checks = append(checks, check{"camera " + id, func(ctx context.Context, r *report) {
			switch camera.Kind(cam.Kind) {
			case camera.Device:
				p.lookAtDevice(r, key, cam)
			case camera.Libcamera:
				p.lookAtRibbon(r, cam)
			case camera.RTSP, camera.HTTP:
				p.lookAtStream(ctx, r, key, cam)
			case camera.File:
				p.lookAtClip(r, key, cam)
			case camera.Dir:
				p.lookAtFolder(r, key, cam)
			case camera.Test:
				r.ok("a test pattern, no camera")
			}
		}})
	}
	return checks
}

func (p *patient) lookAtDevice(r *report, key string, cam config.Camera) {
	path := cam.Address
	if _, err := strconv.Atoi(path); err == nil {
		path = "/dev/video" + path
	}
	f, err := p.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		there := p.glob("/dev/video*")
		if len(there) == 0 {
			r.fault("plug it in; a camera that is plugged in shows in `lsusb` or `sudo dmesg`, one on a ribbon cable may have to be switched on in the board's configuration",
				"%s is not there, and no other camera", path)
			return
		}
		r.fault("plug it in, or take another one in "+key, "%s is not there; there are %s", path, strings.Join(there, ", "))
		return
	case err != nil:
		r.fault("look at it with `ls -l "+path+"`", "%s cannot be looked at: %s", path, reason(err))
		return
	case f.Mode&fs.ModeCharDevice == 0:
		r.fault("name a camera's device in "+key+", such as /dev/video0; for a clip take kind: file, for pictures kind: dir", "%s is no device", path)
		return
	}
	if p.throughService() {
		if !p.allows(f, toRead|toWrite) {
			r.fault(p.joinGroup(f, systemd.User, "`sudo systemctl restart xbm-agent`"),
				"no camera group: the service's user %s may not open %s", systemd.User, describe(path, f, p.Group))
			return
		}
	}
	err = p.OpenDevice(p.real(path))
	switch {
	case errors.Is(err, fs.ErrPermission) && p.UID == 0:
		r.fault("where this is a container, give it the device", "even root may not open %s: %s", path, reason(err))
	case errors.Is(err, fs.ErrPermission):
		r.fault(p.joinGroup(f, p.User, "log in again and restart the agent"),
			"no camera group: %s may not open %s", p.User, describe(path, f, p.Group))
	case errors.Is(err, syscall.EBUSY):
		r.warn("where that is not this agent, end it: `sudo fuser -v "+path+"` names it", "another program uses %s", path)
	case err != nil:
		r.fault("plug it in again; `sudo dmesg | tail` tells more", "%s cannot be opened: %s", path, reason(err))
	default:
		r.ok("%s can be opened", path)
	}
}

// joinGroup says how a user gets at a device. A group of root's is not one to join.
func (p *patient) joinGroup(f File, user, then string) string {
	group := p.Group(f.GID)
	if both := fs.FileMode((toRead | toWrite) << 3); group == "root" || f.Mode&both != both {
		return `give cameras to the group video: write SUBSYSTEM=="video4linux", GROUP="video", MODE="0660" into /etc/udev/rules.d/60-camera.rules and start the board again`
	}
	return fmt.Sprintf("`sudo usermod -aG %s %s`, then %s", group, user, then)
}

func (p *patient) lookAtStream(ctx context.Context, r *report, key string, cam config.Camera) {
	example := "rtsp://host:554/path"
	if cam.Kind == string(camera.HTTP) {
		example = "http://host/path"
	}
	u, err := url.Parse(cam.Address)
	if err != nil || u.Hostname() == "" {
		r.fault("write "+key+" as "+example+", and user and password as username and password_file", "the address %s is no URL with a host", cam.Address)
		return
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"rtsps": "322", "http": "80", "https": "443"}[u.Scheme]
		if port == "" {
			port = "554"
		}
	}
	address := net.JoinHostPort(u.Hostname(), port)
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := p.Dial(ctx, "tcp", address)
	if err != nil {
		n := network{host: u.Hostname(), address: address, key: key, service: strings.ToUpper(cam.Kind) + " in the camera's settings"}
		what, remedy := n.explain(err)
		r.fault(remedy, "%s", what)
		return
	}
	_ = conn.Close() // nothing was sent
	r.ok("%s answers", address)
}

func (p *patient) lookAtClip(r *report, key string, cam config.Camera) {
	f, err := p.Stat(cam.Address)
	if err != nil {
		missing(r, key, cam.Address, err)
		return
	}
	if f.Mode.IsDir() {
		r.fault("take kind: dir", "%s is a folder", cam.Address)
		return
	}
	if why, remedy := p.barred(cam.Address, toRead); why != "" {
		r.fault(remedy, "%s", why)
		return
	}
	if cam.Source().NeedsOpenCV() && p.OpenCV.Err != nil {
		r.fault("install the package for this board, which has it, or take pictures or a motion-JPEG clip (.mjpeg)", "%s needs OpenCV, which is not there", cam.Address)
		return
	}
	r.ok("%s can be read", cam.Address)
}

func (p *patient) lookAtFolder(r *report, key string, cam config.Camera) {
	f, err := p.Stat(cam.Address)
	if err != nil {
		missing(r, key, cam.Address, err)
		return
	}
	if !f.Mode.IsDir() {
		r.fault("take kind: file", "%s is no folder", cam.Address)
		return
	}
	if why, remedy := p.barred(cam.Address, toRead|toEnter); why != "" {
		r.fault(remedy, "%s", why)
		return
	}
	entries, err := os.ReadDir(p.real(cam.Address))
	if err != nil {
		missing(r, key, cam.Address, err)
		return
	}
	pictures := 0
	for _, e := range entries {
		if ext := strings.ToLower(filepath.Ext(e.Name())); !e.IsDir() && slices.Contains([]string{".jpg", ".jpeg", ".png"}, ext) {
			pictures++
		}
	}
	if pictures == 0 && !cam.Watch {
		r.fault("put some there, or correct "+key, "%s has no pictures (.jpg, .jpeg or .png)", cam.Address)
		return
	}
	r.ok("%s has %d pictures", cam.Address, pictures)
}
