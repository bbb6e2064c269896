package doctor_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/doctor"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/systemd"
	"xbmedge/camera"
	"xbmedge/internal/embed"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

const (
	configured = "/etc/xbm-agent/agent.yaml"
	good       = `
node: porch
model: {path: /etc/xbm-agent/m.tflite}
gallery: {path: /var/lib/xbm-agent/g.gallery}
mqtt: {broker: "tcp://me@broker", username: me, password_file: "secret:broker"}
cameras:
  front: {kind: device, address: "0"}
  back: {kind: rtsp, address: "rtsp://cam/h264", username: admin, password_file: "secret:cam"}
  side: {kind: dir, address: /srv/pictures}
  clip: {kind: file, address: /srv/pictures/a.jpg}
  off: {kind: device, address: /dev/video9, enabled: false}
`
	video   = 44
	service = 200 // uid and gid of xbm-agent
)

// bench is a machine on which all is well, until a test changes something.
type bench struct {
	*doctor.Host
	t      *testing.T
	files  map[string]doctor.File // what differs from the tree
	broken map[string]error       // of opening a device
	unit   string                 // what systemctl show prints
	set    []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	b := &bench{t: t, files: map[string]doctor.File{}, broken: map[string]error{}}
	root := t.TempDir()
	accounts := map[string]*doctor.Account{
		"xbm-agent": {Name: "xbm-agent", UID: service, GIDs: []uint32{service}},
		"pi":        {Name: "pi", UID: 1000, GIDs: []uint32{1000}},
	}
	b.Host = &doctor.Host{
		Root: root, Arch: "arm64", Machine: "aarch64", Version: "v1.2.3",
		TFLite: doctor.Part{Version: "2.9.0"}, OpenCV: doctor.Part{Version: "OpenCV 4.6.0"},
		UID: 0, User: "root", Limit: 5 * time.Second,
		Now:          func() time.Time { return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC) },
		Synchronised: func() (bool, bool) { return true, true },
		Stat:         b.stat,
		Access:       func(string, uint32) error { return nil },
		OpenDevice:   func(path string) error { return b.broken[strings.TrimPrefix(path, root)] },
		Account: func(name string) (*doctor.Account, error) {
			if a := accounts[name]; a != nil {
				return a, nil
			}
			return nil, errors.New("no such user")
		},
		Group: func(gid uint32) string {
			return map[uint32]string{0: "root", video: "video", service: "xbm-agent", 1000: "pi"}[gid]
		},
		Space: func(string) (doctor.Space, error) {
			return doctor.Space{Bytes: 5 << 30, Inodes: 1000, CountsNodes: true}, nil
		},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			return near, far.Close()
		},
		Probe:     func(context.Context, mqtt.Config) error { return nil },
		OpenModel: opens(model{}, nil),
		Libcamera: func(camera.Config) error { return nil },
		Systemd: func() (*systemd.Service, error) {
			return &systemd.Service{Systemctl: func(_ context.Context, args ...string) (string, error) {
				if args[len(args)-1] == "SupplementaryGroups" {
					return "SupplementaryGroups=video", nil
				}
				return b.unit, nil
			}}, nil
		},
	}
	b.unit = "ActiveState=active\nSubState=running\nUnitFileState=enabled\nFragmentPath=/etc/systemd/system/xbm-agent.service\nStatusText=4 of 4 cameras\nNRestarts=0"
	b.write(configured, good)
	b.write("/etc/xbm-agent/m.tflite", "a model")
	b.write("/etc/xbm-agent/secrets/broker", "hunter2-broker")
	b.write("/etc/xbm-agent/secrets/cam", "hunter2-cam")
	for _, name := range []string{"broker", "cam"} {
		b.files["/etc/xbm-agent/secrets/"+name] = doctor.File{Mode: 0o600}
	}
	b.write("/srv/pictures/a.jpg", "a picture")
	b.write("/dev/video0", "")
	b.write("/dev/video2", "")
	b.files["/dev/video0"] = doctor.File{Mode: fs.ModeDevice | fs.ModeCharDevice | 0o660, GID: video}
	b.files[configured] = doctor.File{Mode: 0o640, GID: service}
	b.files["/var/lib/xbm-agent"] = doctor.File{Mode: fs.ModeDir | 0o750, UID: service, GID: service}
	b.write("/proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0")
	b.write("/sys/class/thermal/thermal_zone0/temp", "51000")
	b.enroll(model{}.Model(), "oat-milk")
	return b
}

var ribbon = []string{"cameras.front.kind=libcamera", "cameras.front.address=0"}

func (b *bench) write(path, text string) {
	b.t.Helper()
	path = filepath.Join(b.Root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) remove(path string) {
	b.t.Helper()
	delete(b.files, path)
	if err := os.RemoveAll(filepath.Join(b.Root, path)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) enroll(ref embed.ModelRef, ids ...string) {
	b.t.Helper()
	g, err := gallery.New(gallery.Model{Name: ref.Name, SHA256: ref.SHA256, Dim: ref.Dim})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, id := range ids {
		if err := g.Enroll(id, id, [][]float32{{1, 0}}); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(b.Root, "/var/lib/xbm-agent"), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := g.Save(filepath.Join(b.Root, "/var/lib/xbm-agent/g.gallery")); err != nil {
		b.t.Fatal(err)
	}
}

// stat tells of the tree as if root had made it.
func (b *bench) stat(path string) (doctor.File, error) {
	if f, ok := b.files[path]; ok {
		return f, nil
	}
	info, err := os.Stat(filepath.Join(b.Root, path))
	if err != nil {
		return doctor.File{}, err
	}
	return doctor.File{Mode: info.Mode()}, nil
}

func (b *bench) asUser() { b.UID, b.User = 1000, "pi" }

func (b *bench) run() []doctor.Finding {
	b.t.Helper()
	return doctor.Run(b.t.Context(), b.Host, configured, b.set...)
}

// opens returns a function that opens a model.
func opens(e doctor.Embedder, err error) func(context.Context, string, config.Model) (doctor.Opened, error) {
	return func(context.Context, string, config.Model) (doctor.Opened, error) {
		return doctor.Opened{Embedder: e}, err
	}
}

// model is one that works.
type model struct{ err error }

func (model) Model() embed.ModelRef {
	return embed.ModelRef{Name: "things", SHA256: "9f2c", Dim: 2, Quant: "int8"}
}
func (model) Dim() int                              { return 2 }
func (model) InputSize() (int, int)                 { return 8, 8 }
func (m model) Embed([]float32, vision.Frame) error { return m.err }
func (model) Close() error                          { return nil }
