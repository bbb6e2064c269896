// Package config is the agent's configuration: its defaults, its file and its checks.
package config

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"xbmedge/agent/internal/features"
	"xbmedge/agent/internal/homeassistant"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/outbox"
	"xbmedge/internal/conf"
)

// envPrefix starts the names of environment variables: XBM_MQTT_BROKER sets mqtt.broker.
const envPrefix = "XBM"

// Config is everything the agent can be told. Load returns it checked.
type Config struct {
	Node      string            `yaml:"node"`      // empty: hostname and machine id
	StateDir  string            `yaml:"state_dir"` // what must outlive a restart
	Log       Log               `yaml:"log"`
	Model     Model             `yaml:"model"`
	Gallery   Gallery           `yaml:"gallery"`
	MQTT      MQTT              `yaml:"mqtt"`
	Track     Track             `yaml:"track"`
	Presence  Presence          `yaml:"presence"`
	Motion    Motion            `yaml:"motion"`
	Gates     Gates             `yaml:"gates"`
	Strangers Strangers         `yaml:"strangers"`
	Thermal   Thermal           `yaml:"thermal"`
	Metrics   Metrics           `yaml:"metrics"`
	Web       Web               `yaml:"web"`
	Cameras   map[string]Camera `yaml:"cameras"`
	File      string            `yaml:"-"` // path of what was loaded, "" for none

	HomeAssistant HomeAssistant `yaml:"homeassistant"`
}

// Log says what is logged.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
}

// Model is the embedding model.
type Model struct {
	Path           string   `yaml:"path"` // a bundle (.xbm) or a bare .tflite file
	Threads        int      `yaml:"threads"`
	Keys           []string `yaml:"keys"` // public keys or their files; empty: the model need not be signed
	AllowDowngrade bool     `yaml:"allow_downgrade"`
}

// Gallery holds the enrolled things.
type Gallery struct {
	Path      string  `yaml:"path"`
	Threshold float64 `yaml:"threshold"` // 0: the gallery's own
	TopK      int     `yaml:"topk"`
}

// MQTT is the broker.
type MQTT struct {
	Broker            string        `yaml:"broker"`
	Fallbacks         []string      `yaml:"fallbacks"` // brokers to turn to, in order, while that one is away
	Base              string        `yaml:"base"`
	ClientID          string        `yaml:"client_id"` // empty: unique for each start
	Username          string        `yaml:"username"`
	Password          string        `yaml:"password"`
	PasswordFile      string        `yaml:"password_file"`
	TLS               TLS           `yaml:"tls"`
	KeepAlive         time.Duration `yaml:"keep_alive"`
	Drain             time.Duration `yaml:"drain"`
	Queue             int           `yaml:"queue"` // events in memory where there can be no outbox
	Outbox            Outbox        `yaml:"outbox"`
	PublishEmbeddings bool          `yaml:"publish_embeddings"`
	PublishCandidates bool          `yaml:"publish_candidates"`
	PublishSnapshots  bool          `yaml:"publish_snapshots"`
	Commands          bool          `yaml:"commands"` // taken from the broker
}

// HomeAssistant says what Home Assistant is told through the broker.
type HomeAssistant struct {
	Enabled bool   `yaml:"enabled"`
	Prefix  string `yaml:"prefix"`
	Things  int    `yaml:"things"` // at most so many get a sensor
}

// Outbox is where events wait for the broker; see outbox.Config.
type Outbox struct {
	MaxBytes     int64 `yaml:"max_bytes"`
	DailyWriteMB int   `yaml:"daily_write_mb"` // 0: no limit
}

// TLS names files.
type TLS struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// Thermal says when the board has to rest; see board.Limits.
type Thermal struct {
	Limit    float64 `yaml:"limit"`     // °C, 0: off
	MinShare float64 `yaml:"min_share"` // of the frames
}

// Metrics says where Prometheus may ask.
type Metrics struct {
	Listen string `yaml:"listen"` // auto, off, unix:/path or host:port
}

// Default returns the configuration before any file.
func Default() *Config {
	return &Config{
		StateDir: "/var/lib/xbm-agent",
		Log:      Log{Level: "info", Format: "text"},
		Model:    Model{Threads: 1, Keys: []string{}},
		Gallery:  Gallery{TopK: 3},
		MQTT: MQTT{
			Broker: "tcp://localhost:1883", Fallbacks: []string{}, Base: "xbm",
			KeepAlive: 30 * time.Second, Drain: 5 * time.Second, Queue: 10000, Outbox: Outbox{MaxBytes: 64 << 20},
			PublishSnapshots: true,
			Commands:         true,
		},
		Track: Track{
			Window: 5, MinFrames: 3, UnknownFrames: 6, Margin: 0.02, Ratio: 0.8, Similarity: 0.75, HoldFrames: 10, Hold: 2 * time.Second,
			UpdateGain: 0.05, UpdateInterval: 2 * time.Second,
		},
		Presence:      Presence{Detail: 6.5},
		Motion:        Motion{Gate: true, Level: 12, MinArea: 0.002, MaxArea: 0.9},
		Gates:         Gates{Size: 16, Dark: 6, Bright: 250},
		Strangers:     Strangers{Keep: 200},
		Thermal:       Thermal{Limit: 75, MinShare: 0.2},
		Metrics:       Metrics{Listen: "auto"},
		Web:           Web{Listen: "off"},
		HomeAssistant: HomeAssistant{Enabled: true, Prefix: homeassistant.DefaultPrefix, Things: 200},
	}
}

// Load reads the file at path, the environment and the settings ("mqtt.broker=…"), checks the result and fills in the
// node id and the passwords from their files. A path of "" means no file.
func Load(path string, set ...string) (*Config, error) {
	c, err := Read(path, set...)
	if err != nil {
		return nil, err
	}
	if err := c.ReadPasswords(path); err != nil {
		return nil, err
	}
	return c, nil
}

// Read is Load without the passwords: it opens no file but the one at path.
func Read(path string, set ...string) (*Config, error) {
	c := Default()
	if err := conf.Load(path, c, envPrefix, set...); err != nil {
		return nil, err
	}
	if c.Node == "" {
		c.Node = defaultNode()
	}
	c.File = path
	return c, nil
}

// Validate reports every fault.
func (c *Config) Validate() error {
	var f conf.Faults
	check := func(key string, err error) {
		if err != nil {
			f.Addf(key, "%w", err)
		}
	}
	if c.Node != "" {
		check("node", mqtt.CheckSegment(c.Node))
	}
	if c.StateDir == "" {
		f.Addf("state_dir", "is empty; name a folder that the agent may write")
	}
	oneOf(&f, "log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf(&f, "log.format", c.Log.Format, "text", "json")
	if c.Model.Path == "" {
		f.Addf("model.path", "is empty; name the bundle (.xbm) or the .tflite file")
	}
	if c.Model.Threads < 1 || c.Model.Threads > 64 {
		f.Addf("model.threads", "%d; want 1 to 64", c.Model.Threads)
	}
	if c.Gallery.Path == "" {
		f.Addf("gallery.path", "is empty; name the file that `xbm-agent enroll` writes")
	}
	if t := c.Gallery.Threshold; t < 0 || t > 1 {
		f.Addf("gallery.threshold", "%v; want 0 (the gallery's own) to 1", t)
	}
	if c.Gallery.TopK < 1 || c.Gallery.TopK > 20 {
		f.Addf("gallery.topk", "%d; want 1 to 20", c.Gallery.TopK)
	}
	c.MQTT.checkBrokers(check)
	check("mqtt.base", mqtt.CheckBase(c.MQTT.Base))
	if c.MQTT.Password != "" && c.MQTT.PasswordFile != "" {
		f.Addf("mqtt.password_file", "and mqtt.password are both set; keep one")
	}
	if c.MQTT.Queue < 1 || c.MQTT.Queue > 1_000_000 {
		f.Addf("mqtt.queue", "%d; want 1 to 1000000", c.MQTT.Queue)
	}
	if n := c.MQTT.Outbox.MaxBytes; n < outbox.MinBytes || n > outbox.MaxBytes {
		f.Addf("mqtt.outbox.max_bytes", "%d; want %d to %d", n, outbox.MinBytes, int64(outbox.MaxBytes))
	}
	if n := c.MQTT.Outbox.DailyWriteMB; n < 0 || n > 1_000_000 {
		f.Addf("mqtt.outbox.daily_write_mb", "%d; want 0 (no limit) to 1000000", n)
	}
	if c.MQTT.KeepAlive < time.Second {
		f.Addf("mqtt.keep_alive", "%v; want 1s or more", c.MQTT.KeepAlive)
	}
	if c.MQTT.Drain <= 0 {
		f.Addf("mqtt.drain", "%v; want more than 0s", c.MQTT.Drain)
	}
	check("homeassistant.prefix", mqtt.CheckBase(c.HomeAssistant.Prefix))
	if c.HomeAssistant.Prefix == c.MQTT.Base {
		f.Addf("homeassistant.prefix", "is %q, as mqtt.base; keep them apart", c.MQTT.Base)
	}
	if n := c.HomeAssistant.Things; n < 0 || n > 2000 {
		f.Addf("homeassistant.things", "%d; want 0 (no sensors of things) to 2000", n)
	}
	c.validateRecognition(check)
	if t := c.Thermal.Limit; t != 0 && (t < 40 || t > 120) {
		f.Addf("thermal.limit", "%v; want 0 (off), or 40 to 120 °C", t)
	}
	if s := c.Thermal.MinShare; s <= 0 || s > 1 {
		f.Addf("thermal.min_share", "%v; want more than 0, up to 1", s)
	}
	check("metrics.listen", checkListen(c.Metrics.Listen))
	check("web.listen", c.Web.check())
	c.validateCameras(&f)
	return f.Err()
}

var secretName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)

// checkListen returns nil for a place where metrics can be served.
func checkListen(text string) error {
	if text == "auto" || text == "off" {
		return nil
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if !filepath.IsAbs(path) || len(path) > 100 {
			return fmt.Errorf("%q: want unix: and an absolute path of at most 100 characters", text)
		}
		return nil
	}
	if _, port, err := net.SplitHostPort(text); err != nil || port == "" {
		return fmt.Errorf("%q: want auto, off, unix:/path or host:port", text)
	}
	return nil
}

// MetricsAddress returns where metrics are served, "" for nowhere. auto is a socket in the folder that the service manager
// makes for the program (RUNTIME_DIRECTORY), and nowhere without one.
func (c *Config) MetricsAddress() string {
	switch c.Metrics.Listen {
	case "off":
		return ""
	case "auto":
		if dir := os.Getenv("RUNTIME_DIRECTORY"); dir != "" {
			return "unix:" + filepath.Join(dir, "metrics.sock")
		}
		return ""
	}
	return c.Metrics.Listen
}

// RestartNeeded names the keys in which other differs from c and that a running agent cannot take over.
func (c *Config) RestartNeeded(other *Config) []string {
	var keys []string
	for _, k := range []struct {
		name  string
		equal bool
	}{
		{"node", c.Node == other.Node},
		{"state_dir", c.StateDir == other.StateDir},
		{"log", c.Log == other.Log},
		{"mqtt", c.MQTT.same(other.MQTT)},
		{"thermal", c.Thermal == other.Thermal},
		{"strangers", c.Strangers == other.Strangers},
		{"metrics", c.Metrics == other.Metrics},
		{"web", c.Web == other.Web},
		{"homeassistant", c.HomeAssistant == other.HomeAssistant},
	} {
		if !k.equal {
			keys = append(keys, k.name)
		}
	}
	return keys
}

func oneOf(f *conf.Faults, key, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	f.Addf(key, "%q is not one of %s", value, strings.Join(allowed, ", "))
}

// defaultNode is the hostname and six characters of the machine id, so that two boards of one image differ.
func defaultNode() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "xbm"
	}
	host = regexp.MustCompile(`[^a-zA-Z0-9_-]+`).ReplaceAllString(host, "-")
	id, err := os.ReadFile("/etc/machine-id")
	if tail := strings.TrimSpace(string(id)); err == nil && len(tail) >= 6 {
		host = host[:min(len(host), 57)] + "-" + tail[:6]
	}
	return host[:min(len(host), 64)]
}

// OutboxDir is where events wait for the broker.
func (c *Config) OutboxDir() string { return filepath.Join(c.StateDir, "outbox") }

// AnnouncedFile says what Home Assistant was told of, so that it can be taken away.
func (c *Config) AnnouncedFile() string { return filepath.Join(c.StateDir, "homeassistant.json") }

// SequenceFile is where event numbers were kept before there was an outbox.
func (c *Config) SequenceFile() string { return filepath.Join(c.StateDir, "sequence.json") }

// CommandsFile is where the latest commands are kept, so that none is carried out twice.
func (c *Config) CommandsFile() string { return filepath.Join(c.StateDir, "commands.json") }

// FeaturesFile is where the features are kept that were set while the agent ran.
func (c *Config) FeaturesFile() string { return filepath.Join(c.StateDir, "features.json") }

// Features returns what the configuration says of a camera's features.
func (c *Config) Features(camera string) features.Settings {
	cam := c.Cameras[camera]
	return features.Settings{
		Enabled: cam.Enabled, Recognition: true, Threshold: c.Gallery.Threshold, FPS: cam.FPS,
		PublishEmbeddings: c.MQTT.PublishEmbeddings,
	}
}
