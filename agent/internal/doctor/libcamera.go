package doctor

import (
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/systemd"
	"xbmedge/camera"
)

// lookAtRibbon looks for a camera on a ribbon cable: its program, its devices, and who may open them.
func (p *patient) lookAtRibbon(r *report, cam config.Camera) {
	if err := p.Libcamera(camera.Config{Kind: camera.Libcamera, Address: cam.Address}); err != nil {
		r.fault("install it and start the agent again", "%s", err)
		return
	}
	devices := p.glob("/dev/media*")
	if len(devices) == 0 {
		r.fault("switch the board off and push the cable home; camera_auto_detect=1 stands in /boot/firmware/config.txt; `rpicam-hello --list-cameras` shows what is there",
			"the board sees no camera on a ribbon cable")
		return
	}
	for _, path := range append(devices, p.glob("/dev/dma_heap/*")...) {
		f, err := p.Stat(path)
		if err != nil || !p.throughService() || p.allows(f, toRead|toWrite) {
			continue
		}
		r.fault(p.joinGroup(f, systemd.User, "`sudo systemctl restart xbm-agent`"),
			"no camera group: the service's user %s may not open %s", systemd.User, describe(path, f, p.Group))
		return
	}
	r.ok("camera %s: its program is installed, and %d of its devices can be opened", cam.Address, len(devices))
}
