package support

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/doctor"
	"xbmedge/agent/internal/systemd"
	"xbmedge/internal/bundle"
	"xbmedge/internal/conf"
	"xbmedge/internal/gallery"
	"xbmedge/internal/redact"
	"xbmedge/internal/tflitefile"
)

// journalLines is how many of the service's latest lines are taken.
const journalLines = "2000"

// gatherer fills one bundle.
type gatherer struct {
	Source
	bundle *Bundle
	cfg    *config.Config // nil where it does not load
}

// real returns where a path of the machine is found.
func (g *gatherer) real(path string) string {
	if g.Root == "/" || path == "" {
		return path
	}
	return filepath.Join(g.Root, path)
}

// read returns a file of the machine, or its beginning: some of those in /proc have no size.
func (g *gatherer) read(path string) (string, error) {
	file, err := os.Open(g.real(path))
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(io.LimitReader(file, 2*maxPart))
	return string(data), errors.Join(err, file.Close())
}

func (g *gatherer) gather(ctx context.Context) {
	var unread error
	cfg, err := config.Read(g.real(g.Config), g.Set...)
	if err == nil {
		g.cfg = cfg
		unread = cfg.ReadPasswords(g.real(g.Config))
	}
	service := g.serviceEnviron(ctx)
	g.bundle.secrets = g.findSecrets(append(service, g.Environ...)) // before anything is added
	g.bundle.folder = g.name()
	if unread != nil {
		g.bundle.miss("passwords that cannot be read, and are masked only where they look like one", unread)
	}

	g.addJSON("version.json", g.Version)
	g.addDoctor()
	if g.cfg != nil {
		g.addConfiguration()
		g.addModel()
		g.addGallery()
	} else {
		g.bundle.miss("configuration.txt, model.json, gallery.json", errors.New("the configuration does not load, see doctor.txt"))
	}
	g.addEnvironment(service)
	g.addService(ctx) // the log before what may leave it no room
	g.addMetrics(ctx)
	g.addSystem(ctx)
}

var unfit = regexp.MustCompile(`[^a-zA-Z0-9_-]+`)

func (g *gatherer) name() string {
	node := g.Host
	if g.cfg != nil {
		node = g.cfg.Node
	}
	return "xbm-agent-support-" + unfit.ReplaceAllString(node, "-") + "-" + g.Now.UTC().Format("20060102-150405")
}

func (g *gatherer) addJSON(name string, value any) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		g.bundle.miss(name, err)
		return
	}
	g.bundle.add(name, string(text)+"\n", false)
}

func (g *gatherer) addDoctor() {
	// Each text by itself, as one that has secrets replaced in it afterwards may be no JSON any more.
	findings := slices.Clone(g.Findings)
	for i := range findings {
		f := &findings[i]
		f.Found, f.Remedy = redact.Text(f.Found, g.bundle.secrets...), redact.Text(f.Remedy, g.bundle.secrets...)
	}
	var text bytes.Buffer
	if err := doctor.WriteText(&text, findings); err != nil {
		g.bundle.miss("doctor.txt", err)
	}
	g.bundle.add("doctor.txt", text.String(), false)
	g.addJSON("doctor.json", findings)
}

func (g *gatherer) addConfiguration() {
	var text strings.Builder
	for _, v := range conf.List(g.cfg) {
		if namesPassword(v.Key) && v.Text != "" {
			v.Text = "xxxxx"
		}
		fmt.Fprintf(&text, "%s: %s\n", v.Key, strings.ReplaceAll(v.Text, "\n", `\n`))
	}
	g.bundle.add("configuration.txt", text.String(), false)
}

// serviceEnviron returns the environment of the agent that runs as a service, which is another than that of the person
// who makes the bundle.
func (g *gatherer) serviceEnviron(ctx context.Context) []string {
	out, err := g.Command(ctx, "systemctl", "show", systemd.Name, "--property", "MainPID", "--value")
	pid := strings.TrimSpace(string(out))
	if err != nil || pid == "" || pid == "0" || strings.Trim(pid, "0123456789") != "" {
		return nil
	}
	text, err := g.read("/proc/" + pid + "/environ")
	if err != nil {
		g.bundle.miss("the service's environment", err)
		return nil
	}
	return strings.Split(text, "\x00")
}

func (g *gatherer) addEnvironment(service []string) {
	var text strings.Builder
	for _, from := range []struct {
		title   string
		environ []string
	}{{"the service", service}, {"who made this bundle", g.Environ}} {
		fmt.Fprintf(&text, "# of %s\n", from.title)
		for _, entry := range from.environ {
			key, value, _ := strings.Cut(entry, "=")
			if !strings.HasPrefix(key, "XBM_") {
				continue
			}
			if namesPassword(key) && value != "" {
				value = "xxxxx"
			}
			fmt.Fprintf(&text, "%s=%s\n", key, strings.ReplaceAll(value, "\n", `\n`))
		}
	}
	g.bundle.add("environment.txt", text.String(), false)
}

func (g *gatherer) addModel() {
	path := g.cfg.Model.Path
	info, err := os.Stat(g.real(path))
	if err == nil && !info.Mode().IsRegular() { // and maybe without an end
		err = fmt.Errorf("%s is no file", path)
	}
	var data []byte
	var known bundle.ModelInfo
	if err == nil {
		data, known, err = bundle.LoadModel(g.real(path))
	}
	if err != nil {
		g.bundle.miss("model.json", err)
		return
	}
	m := struct {
		Path    string `json:"path"`
		Name    string `json:"name"`
		SHA256  string `json:"sha256"`
		Bytes   int    `json:"bytes"`
		Space   string `json:"space"`
		Bundle  string `json:"bundle,omitempty"`
		Version int    `json:"version,omitempty"` // of the bundle
		KeyID   string `json:"key_id,omitempty"`  // that it names
		Error   string `json:"error,omitempty"`
	}{Path: path, SHA256: known.SHA256, Bytes: len(data), Space: known.SpaceID}
	if known.Bundle != nil {
		m.Bundle, m.Version, m.KeyID = known.Name, known.Version, known.Bundle.KeyID()
	}
	if file, err := tflitefile.Decode(data); err == nil {
		m.Name = file.Description
	} else {
		m.Error = err.Error()
	}
	g.addJSON("model.json", m)
}

// addGallery tells of the gallery without its things: their names may be people's.
func (g *gatherer) addGallery() {
	path := g.cfg.Gallery.Path
	read, err := gallery.Read(g.real(path))
	if errors.Is(err, gallery.ErrCorrupt) {
		err = fmt.Errorf("%s: %w", path, gallery.ErrCorrupt) // without what is in it
	}
	if err != nil {
		g.bundle.miss("gallery.json", err)
		return
	}
	g.addJSON("gallery.json", struct {
		Path       string        `json:"path"`
		Model      gallery.Model `json:"model"`
		Identities int           `json:"identities"`
		Embeddings int           `json:"embeddings"`
		Threshold  float32       `json:"threshold"`
		Revision   uint64        `json:"revision"`
	}{path, read.Model(), len(read.Entries()), read.Len(), read.Threshold(), read.Revision()})
}

func (g *gatherer) addSystem(ctx context.Context) {
	for _, path := range []string{"/etc/os-release", "/proc/cpuinfo", "/proc/meminfo", "/proc/mounts"} {
		name := "system/" + filepath.Base(path)
		text, err := g.read(path)
		if err != nil {
			g.bundle.miss(name, err)
			continue
		}
		g.bundle.add(name, text, false)
	}
	g.addCommand(ctx, "system/uname", "uname", "-a")
	g.addList("system/video", g.listDevices())
	g.addList("system/thermal", g.listReadings(
		"/sys/class/thermal/thermal_zone*/type", "/sys/class/thermal/thermal_zone*/temp", "/sys/devices/platform/*/*firmware/get_throttled",
		"/sys/class/hwmon/hwmon*/in0_lcrit_alarm", "/sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq"))
}

// addList adds what was found, if anything.
func (g *gatherer) addList(name, text string) {
	if text == "" {
		g.bundle.miss(name, errors.New("this machine has none"))
		return
	}
	g.bundle.add(name, text, false)
}

// listDevices lists the cameras' devices with their rights and names.
func (g *gatherer) listDevices() string {
	var text strings.Builder
	for _, pattern := range []string{"/dev/video*", "/dev/v4l/by-id/*"} {
		for _, path := range g.glob(pattern) {
			info, err := os.Stat(path)
			if err != nil {
				fmt.Fprintf(&text, "%s: %v\n", g.machinePath(path), err)
				continue
			}
			fmt.Fprintf(&text, "%s: %v", g.machinePath(path), info.Mode())
			if target, err := os.Readlink(path); err == nil {
				fmt.Fprintf(&text, " -> %s", target)
			}
			fmt.Fprintln(&text)
		}
	}
	return text.String() + g.listReadings("/sys/class/video4linux/video*/name")
}

// listReadings lists small files with their contents.
func (g *gatherer) listReadings(patterns ...string) string {
	var text strings.Builder
	for _, pattern := range patterns {
		for _, path := range g.glob(pattern) {
			value, err := os.ReadFile(path)
			if err != nil {
				fmt.Fprintf(&text, "%s: %v\n", g.machinePath(path), errors.Unwrap(err))
				continue
			}
			fmt.Fprintf(&text, "%s: %s\n", g.machinePath(path), strings.TrimSpace(string(value)))
		}
	}
	return text.String()
}

// glob returns where matching files are found.
func (g *gatherer) glob(pattern string) []string {
	found, err := filepath.Glob(g.real(pattern))
	if err != nil {
		return nil
	}
	return found
}

func (g *gatherer) machinePath(found string) string {
	if g.Root == "/" {
		return found
	}
	return strings.TrimPrefix(found, g.Root)
}

func (g *gatherer) addService(ctx context.Context) {
	if _, err := os.Stat(g.real("/run/systemd/system")); errors.Is(err, fs.ErrNotExist) {
		g.bundle.miss("service/", errors.New("this system is not run by systemd"))
		return
	}
	g.addCommand(ctx, "service/journal", "journalctl", "-u", systemd.Name, "-n", journalLines, "--no-pager", "-o", "short-iso")
	g.addCommand(ctx, "service/unit", "systemctl", "cat", systemd.Name, "--no-pager")
	g.addCommand(ctx, "service/show", "systemctl", "show", systemd.Name, "--no-pager")
	g.addCommand(ctx, "service/status", "systemctl", "status", systemd.Name, "--no-pager", "--full")
}

// identity is what the agent's log says of whom it has seen.
var identity = regexp.MustCompile(`(\bidentity=)("(?:[^"\\\n]|\\.)*"|\S+)|("identity":\s*)"(?:[^"\\\n]|\\.)*"`)

// addCommand adds what a program prints. One that fails may have printed what is worth reading: systemctl ends like that
// for a service that does not run.
func (g *gatherer) addCommand(ctx context.Context, part, name string, args ...string) {
	out, err := g.Command(ctx, name, args...)
	if err != nil {
		g.bundle.miss(part, fmt.Errorf("%s: %w", name, err))
	}
	if len(out) > 0 {
		g.bundle.add(part, identity.ReplaceAllString(string(out), `$1${3}xxxxx`), part == "service/journal")
	}
}

func (g *gatherer) addMetrics(ctx context.Context) {
	address := "unix:/run/xbm-agent/metrics.sock"
	if g.cfg != nil && g.cfg.Metrics.Listen != "auto" {
		address = g.cfg.Metrics.Listen
	}
	if address == "off" {
		g.bundle.miss("metrics.txt", errors.New("metrics are switched off (metrics.listen)"))
		return
	}
	text, err := g.Metrics(ctx, address)
	if err != nil {
		g.bundle.miss("metrics.txt", err)
		return
	}
	g.bundle.add("metrics.txt", string(text), false)
}
