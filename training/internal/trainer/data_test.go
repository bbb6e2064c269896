package trainer

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// runWith trains on data and returns the final state and what was said.
func runWith(t *testing.T, data string, c Config) (run, said string, r *Result) {
	t.Helper()
	run = filepath.Join(t.TempDir(), "run")
	var log bytes.Buffer
	r, err := Start(t.Context(), Description{Data: data, Config: c}, run, &silent{}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return run, log.String(), r
}

// Where photos are kept and how many goroutines prepare them must not show in the weights.
func TestWeightsDoNotDependOnHowPhotosAreKept(t *testing.T) {
	needTFLite(t)
	data := drawings(t, 6, 8)
	c := smallConfig()
	c.Data.Augment.Flip, c.Data.Augment.Gray = 0.5, 0.2
	run, _, _ := runWith(t, data, c)
	want := readState(t, run)
	c.Data.Cache = t.TempDir()
	for _, tc := range []struct {
		workers, memory int
		said            string
	}{
		{2, 0, "photos=48 decoded=48 on_disk=48"},
		{5, 0, "photos=48 decoded=0 on_disk=48"},
		{1, 100, "photos=48 decoded=0 on_disk=0"},
	} {
		c.Workers, c.Data.Memory = tc.workers, tc.memory
		run, said, _ := runWith(t, data, c)
		if !strings.Contains(said, tc.said) {
			t.Errorf("%d workers, %d MB: said %s, want %q", tc.workers, tc.memory, said, tc.said)
		}
		got := readState(t, run)
		for name := range want {
			if !slices.Equal(want[name].Data, got[name].Data) {
				t.Errorf("%d workers, %d MB: %s differs", tc.workers, tc.memory, name)
			}
		}
	}
}

// Held-out classes are not learned from, and are looked for among themselves.
func TestHeldOutClasses(t *testing.T) {
	needTFLite(t)
	data := drawings(t, 8, 4)
	c := smallConfig()
	c.Data.HoldoutClasses, c.Sampler.Classes = 0.5, 5 // of which only 4 are left
	c.Schedule.Steps = 6
	_, said, r := runWith(t, data, c)
	if !strings.Contains(said, "classes held out") || !strings.Contains(said, "fewer classes than sampler.classes") {
		t.Errorf("nothing said of the classes held out: %s", said)
	}
	if r.Photos != 32 || r.Best.RecallAt1 == 0 {
		t.Errorf("%d photos, recall@1 %g", r.Photos, r.Best.RecallAt1)
	}

	f := &fitting{cfg: &c, log: slog.New(slog.DiscardHandler)}
	if _, err := f.loadPhotos(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	queries, gallery := f.measured()
	if len(queries) != 0 || !slices.Equal(gallery, f.held) || len(f.held) != 16 {
		t.Errorf("measured are %v among %v, held %v", queries, gallery, f.held)
	}
	learned, held := map[int]int{}, map[int]int{}
	for _, i := range f.learned {
		learned[f.labels[i]]++
	}
	for _, i := range f.held {
		held[f.labels[i]]++
	}
	if diff := cmp.Diff(map[int]int{0: 4, 1: 4, 2: 4, 3: 4}, learned); diff != "" {
		t.Errorf("labels learned: %s", diff)
	}
	if diff := cmp.Diff(map[int]int{4: 4, 5: 4, 6: 4, 7: 4}, held); diff != "" {
		t.Errorf("labels held out: %s", diff)
	}
	c.Data.HoldoutClasses = 7
	if err := fitData(t, data, &c); err == nil || !strings.Contains(err.Error(), "data.holdout_classes is 7") {
		t.Errorf("one class left: %v", err)
	}
}

// fitData loads the photos alone.
func fitData(t *testing.T, data string, c *Config) error {
	t.Helper()
	f := &fitting{cfg: c, log: slog.New(slog.DiscardHandler)}
	_, err := f.loadPhotos(t.Context(), data)
	return err
}

func TestListIsTrainedOn(t *testing.T) {
	needTFLite(t)
	data := drawings(t, 4, 4)
	var text strings.Builder
	for class := range 4 {
		for photo := range 4 {
			fmt.Fprintf(&text, "train/class%02d/%02d.png %d\n", class, photo, class*100)
		}
	}
	path := filepath.Join(data, "list.txt")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	c := smallConfig()
	fromFolders, _, _ := runWith(t, data, c)
	fromList, _, _ := runWith(t, path, c)
	want, got := readState(t, fromFolders), readState(t, fromList)
	for name := range want {
		if !slices.Equal(want[name].Data, got[name].Data) {
			t.Errorf("%s differs between the folders and a list of the same photos", name)
		}
	}
}

func TestCacheFolder(t *testing.T) {
	data := drawings(t, 4, 4)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := smallConfig()
	c.Data.Cache = file
	if err := fitData(t, data, &c); err == nil || !strings.Contains(err.Error(), "data.cache") || !strings.Contains(err.Error(), file) {
		t.Errorf("a file as folder: %v", err)
	}
	c.Data.Cache, c.Data.Memory = CacheOff, 0
	if err := fitData(t, data, &c); err == nil || !strings.Contains(err.Error(), "raise data.memory_mb") {
		t.Errorf("no memory and no cache: %v", err)
	}
	// The default folder is the user's; one that cannot be made is no reason to stop.
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	c.Data.Cache, c.Data.Memory = "", 100
	if err := fitData(t, data, &c); err != nil {
		t.Fatal(err)
	}
	made, err := filepath.Glob(filepath.Join(home, "xbmedge", "photos", "??", "*.frame"))
	if err != nil || len(made) != 16 {
		t.Errorf("%d photos in the user's cache folder, want 16 (%v)", len(made), err)
	}
	t.Setenv("XDG_CACHE_HOME", file)
	if err := fitData(t, data, &c); err != nil {
		t.Errorf("the user's cache folder cannot be made: %v", err)
	}
}

func TestDataConfigNamesTheKeys(t *testing.T) {
	for key, spoil := range map[string]func(c *DataConfig){
		"data.validation":              func(c *DataConfig) { c.Validation = 1 },
		"data.holdout_classes":         func(c *DataConfig) { c.HoldoutClasses = 2.5 },
		"data.holdout_classes is 1":    func(c *DataConfig) { c.HoldoutClasses = 1 },
		"data.holdout_classes is -0.1": func(c *DataConfig) { c.HoldoutClasses = -0.1 },
		"data.resize":                  func(c *DataConfig) { c.Resize = 0.5 },
		"data.memory_mb":               func(c *DataConfig) { c.Memory = -1 },
		"data.cache_limit_mb":          func(c *DataConfig) { c.CacheLimit = -1 },
		"data.augment.flip":            func(c *DataConfig) { c.Augment.Flip = 1.5 },
		"data.augment.hue":             func(c *DataConfig) { c.Augment.Flip, c.Augment.Hue = 1.5, 400 },
		"data.augment.erase_scale_min": func(c *DataConfig) { c.Augment.EraseScaleMin = 0.5 },
	} {
		c := DefaultConfig()
		spoil(&c.Data)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%v does not name %s", err, key)
		}
	}
}
