package board_test

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"xbmedge/agent/internal/board"
)

func files(t *testing.T, contents map[string]string) *board.Board {
	t.Helper()
	root := t.TempDir()
	for name, text := range contents {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return board.New(root)
}

func TestReadings(t *testing.T) {
	b := files(t, map[string]string{
		"sys/class/thermal/thermal_zone0/temp":                    "51234\n",
		"sys/class/thermal/thermal_zone1/temp":                    "62500\n",
		"sys/class/thermal/thermal_zone2/temp":                    "nonsense\n",
		"sys/class/thermal/thermal_zone3/temp":                    "-274000\n", // a sensor that is not there
		"sys/devices/platform/soc/soc:firmware/get_throttled":     "50005\n",
		"proc/self/status":                                        "Name:\txbm-agent\nVmRSS:\t   61232 kB\nThreads:\t9\n",
		"proc/self/fd/0":                                          "",
		"proc/self/fd/7":                                          "",
		"proc/device-tree/model":                                  "Raspberry Pi 5 Model B Rev 1.0\x00",
		"sys/class/hwmon/hwmon0/in0_lcrit_alarm":                  "0\n",
		"sys/devices/platform/soc/other/get_throttled_that_is_no": "f\n",
	})
	if c, ok := b.Temperature(); c != 62.5 || !ok {
		t.Errorf("temperature %v, %v", c, ok)
	}
	if got := b.Throttling(); got != (board.Throttling{UnderVoltage: true, Slowed: true}) {
		t.Errorf("throttling %+v", got)
	}
	if got := b.RSS(); got != 61232*1024 {
		t.Errorf("RSS %d", got)
	}
	if got := b.OpenFiles(); got != 2 {
		t.Errorf("%d open files", got)
	}
	if got := b.Model(); got != "Raspberry Pi 5 Model B Rev 1.0" {
		t.Errorf("model %q", got)
	}
}

func TestABoardThatTellsNothing(t *testing.T) {
	b := board.New(t.TempDir())
	if c, ok := b.Temperature(); ok {
		t.Errorf("temperature %v", c)
	}
	if b.Throttling() != (board.Throttling{}) || b.RSS() != 0 || b.OpenFiles() != 0 || b.Model() != "" {
		t.Error("it told something")
	}
}

// Only the past (bits 16 and up) is no reason to rest.
func TestThrottledOnceIsNotThrottledNow(t *testing.T) {
	b := files(t, map[string]string{"sys/devices/platform/soc/soc:firmware/get_throttled": "50000\n"})
	if got := b.Throttling(); got != (board.Throttling{}) {
		t.Errorf("throttling %+v", got)
	}
}

func TestThisMachine(t *testing.T) {
	if rss := board.New("/").RSS(); rss < 1<<20 || rss > 1<<34 {
		t.Errorf("this test holds %d bytes", rss)
	}
}

func TestGovernor(t *testing.T) {
	g := board.NewGovernor(board.Limits{Temperature: 75, LeastShare: 0.2})
	at := func(celsius float64, steps int) (share float64) {
		for range steps {
			share = g.Step(celsius, true, board.Throttling{})
		}
		return share
	}
	for _, tt := range []struct {
		name    string
		celsius float64
		steps   int
		want    float64
	}{
		{"cool", 50, 30, 1},
		{"at the limit", 75, 1, 0.75},
		{"still", 76, 1, 0.5625},
		{"just below: neither", 72, 100, 0.5625},
		{"cool, not yet for long", 69, 11, 0.5625},
		{"cool for long", 69, 1, 0.75},
		{"very hot for long", 90, 50, 0.2},
		{"cool again", 40, 12 * 6, 1},
	} {
		if got := at(tt.celsius, tt.steps); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%s: share %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestGovernorWithoutHeat(t *testing.T) {
	for name, tt := range map[string]struct {
		limit  float64
		known  bool
		t      board.Throttling
		lowers bool
	}{
		"no sensor":     {limit: 75},
		"limit off":     {known: true},
		"under-voltage": {limit: 75, t: board.Throttling{UnderVoltage: true}, lowers: true},
		"slowed":        {t: board.Throttling{Slowed: true}, lowers: true},
	} {
		g := board.NewGovernor(board.Limits{Temperature: tt.limit, LeastShare: 0.2})
		if got := g.Step(99, tt.known, tt.t); (got < 1) != tt.lowers {
			t.Errorf("%s: share %v", name, got)
		}
	}
}
