package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/config"
	"xbmedge/internal/testdata"
)

// The shipped file must load, and say the defaults where it claims to.
func TestShippedFile(t *testing.T) {
	got, err := config.Load(filepath.Join(testdata.Root(t), "configs", "agent.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Node, want.File = got.Node, got.File
	want.Model.Path = "/etc/xbm-agent/embedder.tflite"
	want.Gallery.Path = "/var/lib/xbm-agent/things.gallery"
	var front config.Camera
	front.SetDefaults()
	front.Kind, front.Address, front.Width, front.Height = "device", "/dev/video0", 640, 480
	front.Mask = []string{}
	want.Cameras = map[string]config.Camera{"front_door": front}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the shipped file differs from the defaults (-want +got):\n%s", diff)
	}
	if got.Node == "" {
		t.Error("no node id")
	}
}

// The demo's file says what differs from the defaults, and nothing else; scripts/demo.sh relies on the paths.
func TestDemoFile(t *testing.T) {
	got, err := config.Load(filepath.Join(testdata.Root(t), "configs", "demo.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Node, want.StateDir, want.File = "demo", "demo/out/state", got.File
	want.Model.Path, want.Gallery.Path = "demo/out/model.tflite", "demo/out/things.gallery"
	want.MQTT.Drain = 30 * time.Second
	want.Track = got.Track
	var shelf config.Camera
	shelf.SetDefaults()
	shelf.Kind, shelf.Address = "file", "demo/out/clip/clip.mjpeg"
	want.Cameras = map[string]config.Camera{"shelf": shelf}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the demo's file (-want +got):\n%s", diff)
	}
}

const minimal = `
model: {path: m.tflite}
gallery: {path: g.gallery}
cameras: {clip: {kind: file, address: clip.mp4}}
`

func load(t *testing.T, text string, set ...string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(path, set...)
}

func TestFaults(t *testing.T) {
	tests := []struct {
		name, yaml string
		set        []string
		want       []string
	}{
		{"nothing set", "", nil, []string{"model.path: is empty", "gallery.path: is empty", "cameras: no camera"}},
		{"broker", minimal, []string{"mqtt.broker=localhost"}, []string{`mqtt.broker: broker "localhost": want a URL such as tcp://localhost:1883`}},
		{"broker scheme", minimal, []string{"mqtt.broker=http://user:s3cret@h"}, []string{"mqtt.broker", "http://user:xxxxx@h"}},
		{"broker host", minimal, []string{"mqtt.broker=tcp://:1883"}, []string{"names no host"}},
		{"broker port", minimal, []string{"mqtt.broker=tcp://h:99999"}, []string{"mqtt.broker"}},
		{"drain", minimal, []string{"mqtt.drain=0s"}, []string{"mqtt.drain: 0s; want more than 0s"}},
		{"fallback", minimal, []string{"mqtt.fallbacks=tcp://b,spare.lan"}, []string{`mqtt.fallbacks[1]: broker "spare.lan": want a URL such as tcp://localhost:1883`}},
		{"fallback's password", minimal, []string{"mqtt.fallbacks=http://user:s3cret@h"}, []string{"mqtt.fallbacks[0]", "http://user:xxxxx@h"}},
		{"fallback twice", minimal, []string{"mqtt.fallbacks=tcp://u:s3cret@b,tcp://u:s3cret@b"}, []string{"mqtt.fallbacks[1]: tcp://u:xxxxx@b is there twice"}},
		{"the broker as a fallback", minimal, []string{"mqtt.broker=tcp://b", "mqtt.fallbacks=tcp://b"}, []string{"mqtt.fallbacks[0]: tcp://b is there twice"}},
		{"many fallbacks", minimal, []string{"mqtt.fallbacks=tcp://1,tcp://2,tcp://3,tcp://4,tcp://5,tcp://6,tcp://7,tcp://8,tcp://9"}, []string{"mqtt.fallbacks: 9 brokers; want at most 8"}},
		{"broker without a scheme", minimal, []string{"mqtt.broker=user:s3cret@h:1883"}, []string{"mqtt.broker", "xxxxx@h:1883"}},
		{"base", minimal, []string{"mqtt.base=a/#"}, []string{"mqtt.base"}},
		{"node", minimal, []string{"node=a b"}, []string{`node: "a b": want 1 to 64`}},
		{"misspelt camera key", minimal, []string{"cameras.clip.adress=x"}, []string{"did you mean cameras.clip.address?"}},
		{"camera kind", minimal, []string{"cameras.clip.kind=webcam"}, []string{`cameras.clip.kind: "webcam" is not one of file, dir, device, rtsp`}},
		{"camera name", minimal, []string{"cameras.a b.kind=file", "cameras.a b.address=x"}, []string{"cameras.a b: a camera's name"}},
		{"reserved camera name", minimal, []string{"cameras.status.kind=file", "cameras.status.address=x"}, []string{"cameras.status: that name is a topic"}},
		{"rtsp without a URL", minimal, []string{"cameras.clip.kind=rtsp"}, []string{"cameras.clip.address: want a URL that starts with rtsp://"}},
		{"all disabled", minimal, []string{"cameras.clip.enabled=false"}, []string{"cameras: no camera is configured and enabled"}},
		{"window", minimal, []string{"track.window=2"}, []string{"track: 3 agreeing frames in a window of 2"}},
		{"discovery prefix", minimal, []string{"homeassistant.prefix=home/+"}, []string{`homeassistant.prefix: "home/+": want levels`}},
		{"discovery prefix of the topics", minimal, []string{"homeassistant.prefix=xbm"}, []string{"homeassistant.prefix: is \"xbm\", as mqtt.base"}},
		{"sensors", minimal, []string{"homeassistant.things=-1"}, []string{"homeassistant.things: -1; want 0"}},
		{"level", minimal, []string{"log.level=loud"}, []string{`log.level: "loud" is not one of debug, info, warn, error`}},
		{"two passwords", minimal, []string{"mqtt.password=a", "mqtt.password_file=b"}, []string{"keep one"}},
		{"missing password file", minimal, []string{"mqtt.password_file=/nonexistent"}, []string{"mqtt.password_file: open /nonexistent"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.yaml, tt.set...)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %q shows a password", err)
			}
		})
	}
}

func TestPasswordsFromFiles(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("p@ss/w\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(t, minimal, "mqtt.password_file="+secret,
		"cameras.door.kind=rtsp", "cameras.door.address=rtsp://cam:554/h264", "cameras.door.username=admin", "cameras.door.password_file="+secret)
	if err != nil {
		t.Fatal(err)
	}
	if c.MQTT.Password != "p@ss/w" {
		t.Errorf("broker password %q", c.MQTT.Password)
	}
	if want := "rtsp://admin:p%40ss%2Fw@cam:554/h264"; c.Cameras["door"].Address != want {
		t.Errorf("camera address %q, want %q", c.Cameras["door"].Address, want)
	}
}

// Outside systemd a secret is what root put beside the configuration; under systemd it is the credential made of it.
func TestSecrets(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	dir := t.TempDir()
	path := filepath.Join(dir, "agent.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("agent.yaml", minimal+"mqtt: {username: me, password_file: 'secret:broker'}\n")
	for _, tt := range []struct{ name, set, want string }{
		{"none", "", "mqtt.password_file: there is no secret broker: put it into the file " + filepath.Join(dir, "secrets", "broker")},
		{"a name that is a path", "mqtt.password_file=secret:../agent.yaml", "a secret's name has 1 to 64"},
		{"a name that is a folder", "mqtt.password_file=secret:..", "a secret's name has 1 to 64"},
	} {
		set := []string{}
		if tt.set != "" {
			set = append(set, tt.set)
		}
		if _, err := config.Load(path, set...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
	if c, err := config.Read(path); err != nil || c.MQTT.Password != "" || c.Node == "" {
		t.Errorf("without passwords: %+v, %v", c, err)
	}
	write("secrets/broker", "by root\n")
	if c, err := config.Load(path); err != nil || c.MQTT.Password != "by root" {
		t.Errorf("beside the configuration: %+v, %v", c, err)
	}
	if _, err := config.Load("", "model.path=m", "gallery.path=g", "cameras.c.kind=dir", "cameras.c.address=d", "mqtt.password_file=secret:broker"); err == nil ||
		!strings.Contains(err.Error(), "name it with --config") {
		t.Errorf("no configuration: %v", err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Join(dir, "credentials"))
	if _, err := config.Load(path); err == nil || !strings.Contains(err.Error(), "put it into the file secrets/broker beside the configuration and restart the service") {
		t.Errorf("no credential: %v", err)
	}
	write("credentials/secret_broker", "by systemd\n")
	if c, err := config.Load(path); err != nil || c.MQTT.Password != "by systemd" {
		t.Errorf("a credential: %+v, %v", c, err)
	}
}

// Every password file that cannot be read is told of at once.
func TestAllMissingPasswords(t *testing.T) {
	_, err := load(t, minimal, "mqtt.password_file=/nonexistent/a",
		"cameras.door.kind=rtsp", "cameras.door.address=rtsp://cam/h264", "cameras.door.username=admin", "cameras.door.password_file=/nonexistent/b")
	if err == nil || !strings.Contains(err.Error(), "mqtt.password_file: open /nonexistent/a") || !strings.Contains(err.Error(), "cameras.door.password_file: open /nonexistent/b") {
		t.Errorf("error %v", err)
	}
}

// The page is for this machine unless there is a token, and the token one that nobody guesses.
func TestWeb(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"good": "0123456789abcdef\n", "short": "secret-0123\n", "empty": "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ listen, token, want string }{
		{"off", "", ""},
		{"127.0.0.1:8090", "", ""},
		{"localhost:8090", "", ""},
		{"[::1]:8090", "", ""},
		{"[::ffff:127.0.0.1]:8090", "", ""},
		{":8090", "good", ""},
		{"127.0.0.1:8090", "good", ""},
		{":8090", "", "web.listen: :8090 can be reached from other machines: name a file that holds a token in web.token_file"},
		{"0.0.0.0:8090", "", "can be reached from other machines"},
		{"[::]:8090", "", "can be reached from other machines"},
		{"board.lan:8090", "", "can be reached from other machines"},
		{"localhost.lan:8090", "", "can be reached from other machines"},
		{"192.168.1.7:8090", "", "can be reached from other machines"},
		{"8090", "", "want off or host:port"},
		{"127.0.0.1:", "", "want off or host:port"},
		{"127.0.0.1:8090", "short", "web.token_file: the token is too short"},
		{":8090", "empty", "web.token_file"},
		{":8090", "none", "web.token_file: open"},
	} {
		set := []string{"web.listen=" + tt.listen}
		if tt.token != "" {
			set = append(set, "web.token_file="+filepath.Join(dir, tt.token))
		}
		c, err := load(t, minimal, set...)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s with %q: %v", tt.listen, tt.token, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret-0123")):
			t.Errorf("%s with %q: %v, want %q", tt.listen, tt.token, err, tt.want)
		case err == nil && (c.Web.On() != (tt.listen != "off") || tt.token == "good" && c.Web.Token != "0123456789abcdef"):
			t.Errorf("%s with %q: %+v", tt.listen, tt.token, c.Web)
		}
	}
	c, err := load(t, minimal, "web.token_file="+filepath.Join(dir, "good"))
	if err != nil || len(c.Secrets()) != 1 || c.PasswordFiles()["web.token_file"] == "" {
		t.Errorf("%v, %d secrets, files %v", err, len(c.Secrets()), c.PasswordFiles())
	}
}
