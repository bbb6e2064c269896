package conf_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/conf"
)

type broker struct {
	Broker  string        `yaml:"broker"`
	Port    int           `yaml:"port"`
	QoS     uint8         `yaml:"qos"`
	Timeout time.Duration `yaml:"timeout"`
	TLS     bool          `yaml:"tls"`
}

type cam struct {
	URL string  `yaml:"url"`
	FPS float64 `yaml:"fps"`
}

func (c *cam) SetDefaults() { c.FPS = 7.5 }

type settings struct {
	Name    string         `yaml:"name"`
	MQTT    broker         `yaml:"mqtt"`
	Cameras map[string]cam `yaml:"cameras"`
	Tags    []string       `yaml:"tags"`
	Sizes   []int          `yaml:"sizes"`
}

func (s *settings) Validate() error {
	var f conf.Faults
	if s.MQTT.Port > 65535 {
		f.Addf("mqtt.port", "%d is no port; use 1 to 65535", s.MQTT.Port)
	}
	if s.Name == "" {
		f.Addf("name", "is empty; give the node a name")
	}
	return f.Err()
}

func defaults() *settings {
	return &settings{
		Name: "node",
		MQTT: broker{Broker: "tcp://localhost:1883", Port: 1883, QoS: 1, Timeout: 5 * time.Second},
		Tags: []string{"a"},
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadLayers(t *testing.T) {
	path := write(t, `
name: porch
mqtt:
  broker: tcp://file:1883
  timeout: 2s
cameras:
  front_door: {url: "rtsp://a"}
  Yard:
    url: rtsp://b
    fps: 3
sizes: [1, 2]
`)
	t.Setenv("XBM_MQTT_BROKER", "tcp://env:1883")
	t.Setenv("XBM_MQTT_PORT", "77")
	t.Setenv("XBM_MQTT_TIMEOUT", "9s")
	t.Setenv("XBM_CAMERAS_FRONT_DOOR_FPS", "2.5")
	t.Setenv("XBM_TAGS", "x, y")
	t.Setenv("XBM_SOMETHING_ELSE", "is not ours")
	got := defaults()
	err := conf.Load(path, got, "XBM", "mqtt.port=99", "mqtt.tls=true", "cameras.garden.url=dir:pictures")
	if err != nil {
		t.Fatal(err)
	}
	want := &settings{
		Name: "porch",
		MQTT: broker{Broker: "tcp://env:1883", Port: 99, QoS: 1, Timeout: 9 * time.Second, TLS: true},
		Cameras: map[string]cam{
			"front_door": {"rtsp://a", 2.5}, "yard": {"rtsp://b", 3}, "garden": {"dir:pictures", 7.5},
		},
		Tags: []string{"x", "y"}, Sizes: []int{1, 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestLoadNothing(t *testing.T) {
	for name, path := range map[string]string{"no file": "", "empty file": write(t, "\n"), "only comments": write(t, "# nothing\n")} {
		got := defaults()
		if err := conf.Load(path, got, ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(defaults(), got); diff != "" {
			t.Errorf("%s: defaults changed (-want +got):\n%s", name, diff)
		}
	}
}

func TestLoadFaults(t *testing.T) {
	tests := []struct {
		name, yaml string
		set        []string
		env        map[string]string
		want       []string
	}{
		{"misspelt", "mqtt: {brokr: x}", nil, nil, []string{"mqtt.brokr: unknown key; did you mean mqtt.broker?"}},
		{"swapped letters", "mqtt: {prot: 1}", nil, nil, []string{"mqtt.prot: unknown key; did you mean mqtt.port?"}},
		{"wrong level", "broker: x", nil, nil, []string{"broker: unknown key; did you mean mqtt.broker?"}},
		{"far off", "mqtt: {zzzzzzzz: x}", nil, nil, []string{"mqtt.zzzzzzzz: unknown key; known here: broker, port, qos, timeout, tls"}},
		{"in a map", "cameras: {door: {ulr: x}}", nil, nil, []string{"cameras.door.ulr: unknown key; did you mean cameras.door.url?"}},
		{"several", "nam: x\nmqtt: {prt: 1, qos: many}", nil, nil, []string{"nam: unknown", "mqtt.prt: unknown", "mqtt.qos: want a whole number"}},
		{"text for a number", "mqtt: {port: abc}", nil, nil, []string{"mqtt.port: want a whole number, got text"}},
		{"fraction for a whole number", "mqtt: {port: 1.5}", nil, nil, []string{"mqtt.port: want a whole number, got 1.5"}},
		{"too large for its type", "mqtt: {qos: 256}", nil, nil, []string{"mqtt.qos: want a whole number of 0 or more, got 256"}},
		{"negative", "mqtt: {qos: -1}", nil, nil, []string{"mqtt.qos: want a whole number of 0 or more, got -1"}},
		{"no number", "cameras: {door: {fps: .nan}}", nil, nil, []string{"cameras.door.fps: want a number, got NaN"}},
		{"infinite", "", []string{"cameras.door.fps=Inf"}, nil, []string{`setting cameras.door.fps: want a number, got "Inf"`}},
		{"quoted number", "mqtt: {port: '1883'}", nil, nil, []string{"mqtt.port: want a whole number, got text"}},
		{"number for text", "name: 12", nil, nil, []string{"name: want text, got 12"}},
		{"duration without a unit", "mqtt: {timeout: 5}", nil, nil, []string{"mqtt.timeout: want a duration with its unit"}},
		{"bad duration", "mqtt: {timeout: soon}", nil, nil, []string{`mqtt.timeout: want a duration with its unit, such as 5s or 200ms, got "soon"`}},
		{"value for a mapping", "mqtt: tcp://x", nil, nil, []string{"mqtt: want a mapping of keys to values, got text"}},
		{"mapping for a value", "name: {a: b}", nil, nil, []string{"name: want text, got a mapping"}},
		{"value for a list", "tags: one", nil, nil, []string{"tags: want a list, got text"}},
		{"in a list", "sizes: [1, x]", nil, nil, []string{"sizes[1]: want a whole number, got text"}},
		{"not YAML", "a: [", nil, nil, []string{"not valid YAML", "line 1"}},
		{"twice", "name: a\nname: b", nil, nil, []string{"not valid YAML", `"name" already defined`}},
		{"not a mapping", "- a\n- b", nil, nil, []string{"not valid YAML"}},
		{"validate joins", "name: ''\nmqtt: {port: 70000}", nil, nil, []string{"mqtt.port: 70000 is no port", "name: is empty"}},
		{"setting against validate", "name: ''", []string{"mqtt.port=70000"}, nil, []string{"setting mqtt.port: 70000 is no port", "agent.yaml: name: is empty"}},
		{"setting unknown", "", []string{"mqtt.brokr=x"}, nil, []string{"setting mqtt.brokr: unknown key; did you mean mqtt.broker?"}},
		{"setting below a value", "", []string{"name.x=1"}, nil, []string{"setting name.x: unknown key"}},
		{"setting a mapping", "", []string{"mqtt=1"}, nil, []string{"setting mqtt: holds other keys"}},
		{"setting no value", "", []string{"mqtt.port"}, nil, []string{"want key=value"}},
		{"setting type", "", []string{"mqtt.port=x"}, nil, []string{`setting mqtt.port: want a whole number, got "x"`}},
		{"environment type", "", nil, map[string]string{"XBM_MQTT_TLS": "maybe"}, []string{`XBM_MQTT_TLS (mqtt.tls): want true or false, got "maybe"`}},
		{"environment misspelt", "", nil, map[string]string{"XBM_MQTT_BROKR": "x"}, []string{"XBM_MQTT_BROKR is not known; did you mean XBM_MQTT_BROKER?"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			path := write(t, tt.yaml)
			err := conf.Load(path, defaults(), "XBM", tt.set...)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if tt.set == nil && tt.env == nil {
				for _, line := range strings.Split(err.Error(), "\n") {
					if strings.Contains(line, "key") && !strings.Contains(line, path) {
						t.Errorf("%q does not name the file", line)
					}
				}
			}
		})
	}
}

func TestLoadMissingFile(t *testing.T) {
	err := conf.Load(filepath.Join(t.TempDir(), "none.yaml"), defaults(), "")
	if err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("error %v does not name the file", err)
	}
	if err := conf.Load("", settings{}, ""); err == nil {
		t.Error("took a struct that it cannot fill")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("name: x\nmqtt: {broker: y}")
	f.Add("cameras: {a: {url: b}}")
	f.Add("cameras: {a.b: {url: b}, '': {fps: 1}}")
	f.Add("? [a]\n: b")
	f.Fuzz(func(t *testing.T, text string) {
		cfg := defaults()
		if err := conf.Load(write(t, text), cfg, ""); err == nil && (cfg.Name == "" || cfg.MQTT.Port > 65535) {
			t.Errorf("accepted an invalid configuration: %+v", cfg)
		}
	})
}
