package config

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"xbmedge/camera"
	"xbmedge/internal/conf"
)

// Camera is one source of frames. Its key in the file is its slug.
type Camera struct {
	Enabled      bool          `yaml:"enabled"`
	Kind         string        `yaml:"kind"`
	Address      string        `yaml:"address"`
	Username     string        `yaml:"username"`
	PasswordFile string        `yaml:"password_file"`
	Watch        bool          `yaml:"watch"`  // of a folder: only pictures that come
	Format       string        `yaml:"format"` // fourcc asked of a device
	Width        int           `yaml:"width"`
	Height       int           `yaml:"height"`
	FPS          float64       `yaml:"fps"`
	Timeout      time.Duration `yaml:"timeout"` // for opening
	Stall        time.Duration `yaml:"stall"`   // without a frame
	Frozen       time.Duration `yaml:"frozen"`  // with the same picture; 0: not asked
	Rotate       int           `yaml:"rotate"`  // and the following: see camera.View
	Crop         string        `yaml:"crop"`
	Mask         []string      `yaml:"mask"`
	Regions      Regions       `yaml:"regions"`
}

// SetDefaults fills a new camera.
func (c *Camera) SetDefaults() {
	*c = Camera{
		Enabled: true, FPS: 10, Timeout: 5 * time.Second, Stall: 4 * time.Second, Frozen: 4 * time.Second, Regions: defaultRegions(),
	}
}

// Source returns where the camera's frames come from.
func (c *Camera) Source() camera.Config {
	return camera.Config{
		Kind: camera.Kind(c.Kind), Address: c.Address, Watch: c.Watch, Format: c.Format, Width: c.Width, Height: c.Height,
		FPS: c.FPS, Timeout: c.Timeout, View: camera.View{Rotate: c.Rotate, Crop: c.Crop, Mask: c.Mask},
	}
}

// maxTimeout bounds how long a camera may keep everybody waiting.
const maxTimeout = 15 * time.Second

// longestPause is between two attempts to open a camera, half of it more or less: one that comes back is seen again in
// ten seconds.
const longestPause = 5 * time.Second

var slug = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

func (c *Config) validateCameras(f *conf.Faults) {
	enabled := 0
	for id, cam := range c.Cameras {
		key := "cameras." + id
		if !slug.MatchString(id) {
			f.Addf(key, "a camera's name has 1 to 64 of a-z, 0-9, _ and -")
		}
		if reserved(id) {
			f.Addf(key, "that name is a topic of the node; choose another")
		}
		kinds := []string{}
		for _, k := range camera.Kinds() {
			kinds = append(kinds, string(k))
		}
		oneOf(f, key+".kind", cam.Kind, kinds...)
		cam.validate(f, key)
		if cam.PasswordFile != "" && cam.Username == "" {
			f.Addf(key+".username", "is empty, but there is a password_file")
		}
		if err := cam.Regions.check(); err != nil {
			f.Addf(key+".regions", "%w", err)
		}
		if cam.FPS < 0 || cam.FPS > 1000 {
			f.Addf(key+".fps", "%v; want 0 (all frames) to 1000", cam.FPS)
		}
		if cam.Width < 0 || cam.Height < 0 {
			f.Addf(key, "width %d, height %d; want 0 (the camera's choice) or more", cam.Width, cam.Height)
		}
		if cam.Enabled {
			enabled++
		}
	}
	if enabled == 0 {
		f.Addf("cameras", "no camera is configured and enabled")
	}
}

// reserved reports whether a name is one of the node's own topics in the contract.
func reserved(id string) bool {
	switch id {
	case "status", "identity", "gallery", "update", "stats", "error":
		return true
	}
	return false
}

// FrozenLimit is how long the picture may stay the same, 0 for any time: only a sensor has noise in each.
func (c *Camera) FrozenLimit() time.Duration {
	if k := camera.Kind(c.Kind); k == camera.Test || k == camera.File || k == camera.Dir {
		return 0
	}
	return c.Frozen
}

// validate reports faults of one camera.
func (c *Camera) validate(f *conf.Faults, key string) {
	starts := map[camera.Kind][]string{camera.RTSP: {"rtsp://", "rtsps://"}, camera.HTTP: {"http://", "https://"}}[camera.Kind(c.Kind)]
	if c.Address == "" && c.Kind != string(camera.Test) {
		f.Addf(key+".address", "is empty; want a device, a URL, a clip or a folder")
	}
	if starts != nil && !slices.ContainsFunc(starts, func(s string) bool { return strings.HasPrefix(c.Address, s) }) {
		f.Addf(key+".address", "want a URL that starts with %s", starts[0])
	}
	if c.Watch && c.Kind != string(camera.Dir) {
		f.Addf(key+".watch", "is for kind: dir only")
	}
	if c.Format != "" && (len(c.Format) != 4 || c.Kind != string(camera.Device)) {
		f.Addf(key+".format", "%q; want four characters such as MJPG or YUYV, for kind: device only", c.Format)
	}
	if c.Timeout <= 0 || c.Timeout > maxTimeout {
		f.Addf(key+".timeout", "%v; want more than 0s, up to %v: a camera that says nothing for longer is taken as hung", c.Timeout, maxTimeout)
	}
	if c.Stall <= 0 || c.Stall > maxTimeout {
		f.Addf(key+".stall", "%v; want more than 0s, up to %v: a camera that gives no frame for so long is opened anew", c.Stall, maxTimeout)
	}
	if c.Frozen != 0 && (c.Frozen < time.Second || c.Frozen > time.Hour) {
		f.Addf(key+".frozen", "%v; want 0s (not asked), or 1s to 1h: a camera whose picture stays the same for so long is opened anew", c.Frozen)
	}
	if err := c.Source().View.Check(); err != nil {
		f.Addf(key, "%w", err)
	}
}
