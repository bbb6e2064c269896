package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
)

// machineChecks look at what does not depend on a good configuration.
func (p *patient) machineChecks() []check {
	return []check{
		{"program", p.lookAtProgram},
		{"platform", p.lookAtPlatform},
		{"disk", p.lookAtDisk},
		{"clock", p.lookAtClock},
		{"heat and power", p.lookAtHeat},
	}
}

func (p *patient) lookAtProgram(_ context.Context, r *report) {
	if p.TFLite.Err != nil {
		r.fault("install the package for this board, which has it", "xbm-agent %s was built without TensorFlow Lite and cannot run models", p.Version)
	} else {
		r.ok("xbm-agent %s with TensorFlow Lite %s", p.Version, p.TFLite.Version)
	}
	if p.OpenCV.Err == nil {
		r.ok("%s", p.OpenCV.Version)
		return
	}
	for _, cam := range p.cfg.Cameras {
		if cam.Enabled && cam.Source().NeedsOpenCV() {
			r.fault("install the package for this board, which has it", "the program xbm-capture, which has OpenCV, does not run: no cameras of the kind %s", cam.Kind)
			return
		}
	}
	r.ok("without OpenCV: pictures, motion-JPEG clips and ribbon cameras only")
}

func (p *patient) lookAtPlatform(_ context.Context, r *report) {
	name := p.board().Model()
	if name == "" {
		name = "this machine"
	}
	narrow := p.Arch == "arm" || p.Arch == "386"
	if narrow && slices.Contains([]string{"aarch64", "x86_64"}, p.Machine) {
		r.warn("install the 64-bit system, or where that is there already, the 64-bit package: it is about twice as fast",
			"%s has a 64-bit kernel (%s), but this program is a 32-bit one (%s)", name, p.Machine, p.Arch)
		return
	}
	r.ok("%s, kernel %s, program %s", name, p.Machine, p.Arch)
}

// Room below which the disk is a warning and a fault, in bytes.
const (
	scarce = 100 << 20
	full   = 10 << 20
)

func (p *patient) lookAtDisk(_ context.Context, r *report) {
	dir := p.cfg.StateDir
	for _, err := p.Stat(dir); err != nil && dir != filepath.Dir(dir); _, err = p.Stat(dir) {
		dir = filepath.Dir(dir)
	}
	s, err := p.Space(dir)
	const clean = "make room: `sudo du -xh /var | sort -h | tail` shows what fills it, `sudo journalctl --vacuum-size=50M` and `sudo apt clean` help often"
	switch {
	case err != nil:
		r.warn("look at it with `df -h "+dir+"`", "the room left for %s is not known: %s", dir, reason(err))
	case s.ReadOnly:
		r.fault("`sudo mount -o remount,rw "+dir+"`; where it became read-only by itself, `sudo dmesg` tells why: often a worn-out card",
			"the file system of %s is read-only", dir)
	case s.Bytes < full:
		r.fault(clean, "the file system of %s is full: %s are left", dir, size(s.Bytes))
	case s.CountsNodes && s.Inodes == 0:
		r.fault("remove many small files: `sudo du --inodes -xd3 / | sort -n | tail` shows where they are", "the file system of %s is full: no more files can be made (no inodes)", dir)
	case s.Bytes < scarce:
		r.warn(clean, "the file system of %s is nearly full: %s are left", dir, size(s.Bytes))
	default:
		r.ok("%s are left for %s", size(s.Bytes), dir)
	}
}

func size(bytes uint64) string {
	if bytes >= 10<<30 {
		return fmt.Sprintf("%d GB", bytes>>30)
	}
	return fmt.Sprintf("%d MB", bytes>>20)
}

// Before this year the program did not exist.
const firstYear = 2024

const setClock = "set up time synchronisation: `sudo timedatectl set-ntp true`, and see that the board reaches a time server"

func (p *patient) lookAtClock(_ context.Context, r *report) {
	now := p.Now()
	yes, known := p.Synchronised()
	stamp := now.UTC().Format("2006-01-02 15:04 UTC")
	switch {
	case now.Year() < firstYear:
		r.warn(setClock, "the clock says %s: recognition works, but events carry wrong times and TLS certificates look not yet valid", stamp)
	case known && !yes && p.encrypted():
		r.warn(setClock, "the clock says %s and follows no time server: once it is far off, TLS connections are refused", stamp)
	case known && !yes:
		r.ok("the clock says %s and follows no time server: events carry the time it has", stamp)
	case !known:
		r.ok("the clock says %s", stamp)
	default:
		r.ok("the clock says %s and follows a time server", stamp)
	}
}

func (p *patient) lookAtHeat(_ context.Context, r *report) {
	celsius, known := p.board().Temperature()
	t := p.board().Throttling()
	bad := false
	if most := p.cfg.Thermal.Limit; known && most > 0 && celsius >= most {
		bad = true
		r.warn("cool the board: a heat sink, a fan, room around it", "%.0f °C, and the limit is %.0f °C (thermal.limit): fewer frames are looked at", celsius, most)
	}
	if t.UnderVoltage {
		bad = true
		r.warn("take the board's own power supply and a short, thick cable, and feed USB devices by a hub with its own power",
			"the supply voltage is too low: the processor is slowed down, and the board may stop or spoil its card")
	}
	if t.Slowed && !t.UnderVoltage {
		bad = true
		r.warn("cool the board (a heat sink, a fan), and see that its power supply is strong enough", "the firmware slows the processor down")
	}
	switch {
	case bad:
	case known:
		r.ok("%.0f °C, not slowed down", celsius)
	default:
		r.ok("this machine does not tell its temperature")
	}
}
