package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"xbmedge/agent/internal/board"
	"xbmedge/agent/internal/capture"
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/model"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/systemd"
	"xbmedge/camera"
	"xbmedge/internal/bundle"
	"xbmedge/internal/bundle/parity"
	"xbmedge/internal/cli"
	"xbmedge/internal/embed"
	"xbmedge/internal/tflite"
	"xbmedge/internal/vision"
)

// Host is the machine as the checks see it. Paths are those of the machine, whatever the root folder.
type Host struct {
	Root    string // "/" but in tests
	Arch    string // of the program, as GOARCH
	Machine string // of the kernel, as `uname -m`
	Version string // of the program
	TFLite  Part
	OpenCV  Part
	UID     int
	User    string // name of who runs this
	Limit   time.Duration

	Now          func() time.Time
	Synchronised func() (yes, known bool) // whether the clock follows a time server
	Stat         func(path string) (File, error)
	Access       func(path string, mode uint32) error // whether who runs this may; see access(2)
	OpenDevice   func(path string) error              // for reading and writing, and closes it
	Account      func(name string) (*Account, error)
	Group        func(gid uint32) string // its name
	Space        func(path string) (Space, error)
	Dial         func(ctx context.Context, network, address string) (net.Conn, error)
	Probe        func(ctx context.Context, cfg mqtt.Config) error
	Systemd      func() (*systemd.Service, error)
	OpenModel    func(ctx context.Context, path string, cfg config.Model) (Opened, error)
	Libcamera    func(camera.Config) error // whether its program is installed
}

// Part is a library that the program may be built with. Err says that it is not.
type Part struct {
	Version string
	Err     error
}

// File is what the checks want to know of a file.
type File struct {
	Mode     fs.FileMode
	UID, GID uint32
}

// Account is a user and all groups.
type Account struct {
	Name string
	UID  uint32
	GIDs []uint32
}

// Space is how much room a file system has for users other than root.
type Space struct {
	Bytes       uint64
	Inodes      uint64
	CountsNodes bool // a file system that makes inodes as it needs them counts none
	ReadOnly    bool
}

// Embedder is a model that is open.
type Embedder interface {
	Model() embed.ModelRef
	Dim() int
	InputSize() (width, height int)
	Embed(dst []float32, f vision.Frame) error
	Close() error
}

var _ Embedder = (*embed.Embedder)(nil)

// Opened is a model that is open, and what is known of it.
type Opened struct {
	Embedder Embedder
	Info     bundle.ModelInfo
	Parity   *parity.Certificate // nil for a bare model
}

// trialLimit is the time that golden images may take; it is less than a check may.
const trialLimit = limit * 8 / 10

// This returns the machine the program runs on.
func This(ctx context.Context) *Host {
	h := &Host{
		Root: "/", Arch: runtime.GOARCH, Machine: machine(), Version: cli.Version(),
		TFLite: Part{tflite.Version(), tflite.Available()}, OpenCV: opencv(ctx),
		UID: os.Getuid(), User: strconv.Itoa(os.Getuid()), Limit: limit,
		Now: time.Now, Synchronised: synchronised, Stat: stat, Access: unix.Access, OpenDevice: openDevice, Account: account,
		Group: groupName, Space: space, Dial: (&net.Dialer{}).DialContext, Probe: mqtt.Probe, Systemd: systemd.System,
		OpenModel: openModel, Libcamera: camera.Check,
	}
	if u, err := user.Current(); err == nil {
		h.User = u.Username
	}
	return h
}

// real returns where a path of the machine is found.
func (h *Host) real(path string) string {
	if h.Root == "/" {
		return path
	}
	return filepath.Join(h.Root, path)
}

func (h *Host) board() *board.Board { return board.New(h.Root) }

// glob returns the machine's paths that match.
func (h *Host) glob(pattern string) []string {
	found, err := filepath.Glob(h.real(pattern))
	if err != nil {
		return nil
	}
	for i, path := range found {
		if h.Root != "/" {
			found[i] = path[len(h.Root):]
		}
	}
	slices.Sort(found)
	return found
}

func stat(path string) (File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return File{}, err
	}
	f := File{Mode: info.Mode()}
	f.UID, f.GID = owner(info)
	return f, nil
}

func openDevice(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

func account(name string) (*Account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	a := &Account{Name: name}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	a.UID = uint32(uid)
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", name, err)
	}
	for _, g := range append(groups, u.Gid) {
		gid, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("groups of %s: %w", name, err)
		}
		a.GIDs = append(a.GIDs, uint32(gid))
	}
	return a, nil
}

func groupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

func openModel(ctx context.Context, path string, cfg config.Model) (Opened, error) {
	m, err := model.Open(ctx, model.Options{
		Path: path, Threads: cfg.Threads, Keys: cfg.Keys, Trial: &model.Trial{Limit: trialLimit}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return Opened{}, err
	}
	return Opened{m.Embedder, m.Info, m.Parity}, nil
}

// reason is an error's text without the path, which the finding names already.
func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}

// opencv asks the program that has it.
func opencv(ctx context.Context) Part {
	version, err := capture.OpenCV(ctx)
	return Part{version, err}
}
