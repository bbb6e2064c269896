package support_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"xbmedge/agent/internal/doctor"
	"xbmedge/agent/internal/support"
	"xbmedge/internal/gallery"
)

// Every password of the test contains this word, and so must nothing in a bundle. Their signs are those that URLs, JSON
// and shells write in another way.
const planted = "hunter2"

var (
	brokerFile  = planted + ` "file" ö`
	cameraFile  = planted + "/cam?#@"
	unusedFile  = planted + "-unused"
	inEnviron   = planted + " environ"
	inService   = planted + "&service"
	inSetting   = planted + "-setting"
	allSecrets  = []string{brokerFile, cameraFile, unusedFile, inEnviron, inService, inSetting}
	enrolledIDs = []string{"alice-liddell", "oat-milk"}
)

const configured = "/etc/xbm-agent/agent.yaml"

func machine(t *testing.T, configuration string) support.Source {
	t.Helper()
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(configured, configuration)
	write("/etc/xbm-agent/secrets/broker", brokerFile+"\n")
	write("/etc/xbm-agent/secrets/cam", cameraFile)
	write("/etc/xbm-agent/secrets/unused", unusedFile)
	write("/etc/xbm-agent/m.tflite", "no model, but it has a sum")
	write("/etc/os-release", "ID=debian\n")
	for _, name := range []string{"cpuinfo", "meminfo"} {
		write("/proc/"+name, name+"\n")
	}
	write("/proc/mounts", "//nas/share /mnt cifs password="+planted+"-mount 0 0\n")
	write("/proc/4711/environ", "PATH=/bin\x00XBM_MQTT_PASSWORD="+inService+"\x00XBM_NODE=porch\x00")
	write("/dev/video0", "")
	write("/sys/class/thermal/thermal_zone0/temp", "51000")
	write("/run/systemd/system/x", "")
	g, err := gallery.New(gallery.Model{Name: "things", SHA256: "9f2c", Dim: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range enrolledIDs {
		if err := g.Enroll(id, id, [][]float32{{1, 0}}); err != nil {
			t.Fatal(err)
		}
	}
	write("/var/lib/xbm-agent/x", "")
	if err := g.Save(filepath.Join(root, "/var/lib/xbm-agent/g.gallery")); err != nil {
		t.Fatal(err)
	}

	// A log as it should not be: with each password in each way.
	var journal strings.Builder
	environ := []string{"HOME=/root", "XBM_MQTT_PASSWORD=" + inEnviron, "XBM_CAMERAS_FRONT_ADDRESS=rtsp://a:" + planted + "-variable@cam/x", "UNRELATED=1"}
	written := regexp.MustCompile(planted+`-[a-z]+`).FindAllString(configuration+environ[2], -1)
	for _, s := range slices.Concat(allSecrets, written) {
		quoted, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&journal, "level=ERROR msg=\"login with %s failed\"\n{\"text\":%s}\nrtsp://u:%s@h/?x=%s\n", s, quoted, url.PathEscape(s), url.QueryEscape(s))
		fmt.Fprintln(&journal, (&url.URL{Scheme: "tcp", User: url.UserPassword("me", s), Host: "h:1"}).String())
	}
	fmt.Fprintln(&journal, "level=INFO msg=event camera=front type=new identity=alice-liddell score=0.7")
	fmt.Fprintln(&journal, `{"msg":"event","identity":"oat-milk"}`)
	fmt.Fprintln(&journal, "mqtt://somebody:"+planted+"-other@elsewhere")
	return support.Source{
		Root: root, Config: configured, Set: []string{"mqtt.password=" + inSetting, "mqtt.password_file="},
		Environ: environ, Host: "host", Version: map[string]string{"version": "v1"}, Now: time.Date(2026, 5, 1, 12, 30, 0, 0, time.UTC),
		Findings: []doctor.Finding{{Check: "broker", Level: doctor.Fault, Found: "login as " + brokerFile + " and " + planted + "-broker", Remedy: "no " + cameraFile}},
		Command: func(_ context.Context, name string, args ...string) ([]byte, error) {
			switch line := name + " " + strings.Join(args, " "); {
			case strings.Contains(line, "MainPID"):
				return []byte("4711\n"), nil
			case strings.Contains(line, "systemctl show"), strings.Contains(line, "systemctl cat"):
				return []byte("Environment=XBM_MQTT_PASSWORD=" + planted + "-unit \"XBM_X_TOKEN=my " + planted + "\"\nSetCredential=secret_x:" + planted + " x\nLoadCredential=secret:/etc/xbm-agent/secrets\n"), nil
			case strings.Contains(line, "systemctl status"):
				return []byte("inactive (dead)\n"), errors.New("exit status 3")
			case name == "journalctl":
				return []byte(journal.String()), nil
			}
			return []byte("Linux " + planted + "-broker\n"), nil
		},
		Metrics: func(_ context.Context, address string) ([]byte, error) {
			return []byte("xbm_fps 10 " + address + " " + planted + "-query\n"), nil
		},
	}
}

const good = `
node: porch/1
model: {path: /etc/xbm-agent/m.tflite}
gallery: {path: /var/lib/xbm-agent/g.gallery}
mqtt: {broker: "tcp://me:hunter2-broker@broker", username: me, password_file: "secret:broker"}
cameras:
  front: {kind: rtsp, address: "rtsp://admin:hunter2-rtsp@cam/h264"}
  back: {kind: rtsp, address: "rtsp://cam/h264?user=u&password=hunter2-query"}
  side: {kind: rtsp, address: "rtsp://cam/h264", username: admin, password_file: "secret:cam"}
`

// unpack writes a bundle, and returns its files by their names without the folder.
func unpack(t *testing.T, b *support.Bundle) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), b.Name())
	if err := b.Write(file); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() > 8<<20 {
		t.Errorf("file %v, %v", info, err)
	}
	opened, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	zipped, err := gzip.NewReader(opened)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	total := 0
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		folder, name, _ := strings.Cut(header.Name, "/")
		if folder != strings.TrimSuffix(b.Name(), ".tar.gz") || path.Clean(header.Name) != header.Name {
			t.Errorf("name %q", header.Name)
		}
		if len(text) > 1<<20 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
		total += len(text)
		files[name] = string(text)
	}
	if total > 8<<20 {
		t.Errorf("%d bytes", total)
	}
	return files
}

func checkNoSecrets(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		for line := range strings.Lines(text) {
			if strings.Contains(strings.ToLower(line), planted) {
				t.Errorf("a password in %s: %s", name, line)
			}
			for _, id := range enrolledIDs {
				if strings.Contains(line, id) {
					t.Errorf("somebody's name in %s: %s", name, line)
				}
			}
		}
	}
}

func TestNoSecrets(t *testing.T) {
	src := machine(t, strings.Replace(good, "porch/1", "porch", 1))
	b := support.Gather(t.Context(), src)
	if want := "xbm-agent-support-porch-20260501-123000.tar.gz"; b.Name() != want {
		t.Errorf("name %s, want %s", b.Name(), want)
	}
	files := unpack(t, b)
	checkNoSecrets(t, files)
	want := []string{
		"README.txt", "configuration.txt", "doctor.json", "doctor.txt", "environment.txt", "errors.txt", "gallery.json", "metrics.txt", "model.json",
		"service/journal", "service/show", "service/status", "service/unit", "system/cpuinfo", "system/meminfo", "system/mounts", "system/os-release",
		"system/thermal", "system/uname", "system/video", "version.json",
	}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	for name, text := range map[string]string{
		"configuration.txt": "mqtt.password: xxxxx\n",
		"environment.txt":   "XBM_NODE=porch\n",
		"gallery.json":      `"identities": 2`,
		"model.json":        `"sha256": "`,
		"doctor.txt":        "FAULT  broker  login as xxxxx",
		"errors.txt":        "service/status: systemctl: exit status 3\n",
		"metrics.txt":       "xbm_fps 10 unix:/run/xbm-agent/metrics.sock",
		"system/thermal":    "/sys/class/thermal/thermal_zone0/temp: 51000\n",
		"system/video":      "/dev/video0: ",
		"service/unit":      "LoadCredential=secret:/etc/xbm-agent/secrets\n",
		"service/journal":   "identity=xxxxx score=0.7",
	} {
		if !strings.Contains(files[name], text) {
			t.Errorf("%s without %q:\n%s", name, text, files[name])
		}
	}
	if strings.Contains(files["environment.txt"], "HOME") || strings.Contains(files["environment.txt"], "PATH") {
		t.Errorf("other variables in\n%s", files["environment.txt"])
	}
	for _, name := range []string{"doctor.json", "gallery.json", "model.json", "version.json"} {
		if !json.Valid([]byte(files[name])) {
			t.Errorf("%s is no JSON:\n%s", name, files[name])
		}
	}
}

// The passwords are found, and the rest is there, where the configuration does not load.
func TestNoSecretsOfABrokenConfiguration(t *testing.T) {
	for name, text := range map[string]string{
		"a misspelt key": strings.Replace(good, "node:", "nod:", 1),
		"no YAML":        good + "\n}{\nmqtt.password: '" + planted + "-query'\n",
		"an inline one":  strings.Replace(good, `password_file: "secret:broker"`, `password: "`+planted+`-inline"`, 1) + "oops: 1\n",
	} {
		t.Run(name, func(t *testing.T) {
			files := unpack(t, support.Gather(t.Context(), machine(t, text)))
			checkNoSecrets(t, files)
			if !strings.Contains(files["errors.txt"], "the configuration does not load") || files["service/journal"] == "" || files["system/mounts"] == "" {
				t.Errorf("errors\n%s", files["errors.txt"])
			}
		})
	}
}

// Nothing that is not there keeps the rest out.
func TestBareMachine(t *testing.T) {
	nothing := errors.New("nothing there")
	b := support.Gather(t.Context(), support.Source{
		Root: t.TempDir(), Host: "a board", Now: time.Unix(0, 0),
		Command: func(context.Context, string, ...string) ([]byte, error) { return nil, nothing },
		Metrics: func(context.Context, string) ([]byte, error) { return nil, nothing },
	})
	files := unpack(t, b)
	if b.Name() != "xbm-agent-support-a-board-19700101-000000.tar.gz" || files["README.txt"] == "" || len(b.Missing()) < 9 {
		t.Errorf("%s, %v", b.Name(), b.Missing())
	}
}

// A flood in every part stays within the bounds; of the log the end is kept.
func TestBounds(t *testing.T) {
	src := machine(t, good)
	line := strings.Repeat("x", 99) + "\n"
	flood := []byte(strings.Repeat(line, 11_000) + "the end\n")
	src.Command = func(context.Context, string, ...string) ([]byte, error) { return flood, nil }
	src.Metrics = func(context.Context, string) ([]byte, error) { return flood, nil }
	for _, name := range []string{"/etc/os-release", "/proc/cpuinfo", "/proc/meminfo", "/proc/mounts"} {
		if err := os.WriteFile(filepath.Join(src.Root, name), flood, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := unpack(t, support.Gather(t.Context(), src))
	if files["errors.txt"] == "" || !strings.Contains(files["errors.txt"], "service/journal: cut from 1100008 bytes") {
		t.Errorf("errors\n%s", files["errors.txt"])
	}
	for _, name := range []string{"system/cpuinfo", "service/journal"} {
		if !strings.HasPrefix(files[name], line) {
			t.Errorf("%s begins within a line", name)
		}
	}
	if text := files["service/journal"]; !strings.HasSuffix(text, "the end\n") {
		t.Errorf("the journal's end is not there: %d bytes", len(text))
	}
}

// What this machine's programs and agent answer, through the real hands.
func TestThisMachine(t *testing.T) {
	src := support.This("", nil)
	out, err := src.Command(t.Context(), "uname", "-a")
	if err != nil || len(out) == 0 {
		t.Errorf("uname: %q, %v", out, err)
	}
	long, err := src.Command(t.Context(), "head", "-c", "20000000", "/dev/zero")
	if err != nil || len(long) > 4<<20 || len(long) == 0 {
		t.Errorf("%d bytes of 20 MB, %v", len(long), err)
	}
	if _, err := src.Metrics(t.Context(), "unix:"+filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("metrics of nobody")
	}
}
