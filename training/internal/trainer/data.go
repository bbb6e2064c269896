package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"xbmedge/training/internal/dataset"
	"xbmedge/training/internal/frames"
)

// DataConfig says which photos are trained on and how they are kept and varied.
type DataConfig struct {
	// Validation is the share of each class's photos held back to choose the best checkpoint. They look for their
	// class among the photos trained on. HoldoutClasses, when it is set, takes its place.
	Validation float64 `yaml:"validation" json:"validation"`
	// HoldoutClasses holds back whole classes instead: a share of them below 1, else that many; 0 none. Each of their
	// photos looks for its class among all others of them, so what is measured is things never trained on.
	HoldoutClasses float64 `yaml:"holdout_classes" json:"holdout_classes"`
	// Resize is how much larger than the input photos are scaled before the centre is cut out, where they are measured
	// on. 1 is what the board does.
	Resize     float64         `yaml:"resize" json:"resize"`
	Memory     int             `yaml:"memory_mb" json:"memory_mb"`           // for decoded photos; those beyond stay in the cache
	Cache      string          `yaml:"cache" json:"cache"`                   // folder for reduced photos; empty: the user's cache folder; off: none
	CacheLimit int             `yaml:"cache_limit_mb" json:"cache_limit_mb"` // what was not used for longest is removed beyond; 0: nothing is
	Augment    dataset.Augment `yaml:"augment" json:"augment"`
}

// CacheOff is the value of data.cache that turns it off.
const CacheOff = "off"

func defaultData() DataConfig {
	return DataConfig{
		Validation: 0.1, Resize: 1, Memory: 2048, CacheLimit: 20480,
		Augment: dataset.Augment{
			CropScaleMin: 0.5, CropScaleMax: 1, CropAspect: 1.2,
			Warp: 0.7, WarpDegrees: 10, WarpTilt: 0.05,
			Jitter: 0.8, Brightness: 0.3, Contrast: 0.3, Saturation: 0.3, Hue: 9,
			Blur: 0.1, Noise: 0.2, NoiseSigma: 6, Erase: 0.2, EraseScaleMax: 0.12,
		},
	}
}

func (c *DataConfig) validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(c.Validation >= 0 && c.Validation < 1, "data.validation is %g: take a share from 0 to below 1", c.Validation)
	h := c.HoldoutClasses
	check(h >= 0 && (h < 1 || h == math.Trunc(h)) && h < exactInt,
		"data.holdout_classes is %g: take a share of the classes below 1, a number of classes from 2, or 0 for none", h)
	check(h != 1, "data.holdout_classes is 1: one class cannot be told from others; take at least 2")
	check(c.Resize >= 1 && c.Resize <= 2, "data.resize is %g: take 1 (as the board) to 2; 1.143 is 256/224", c.Resize)
	check(c.Memory >= 0 && c.Memory < 1<<30, "data.memory_mb is %d: take what of the memory photos may have, such as 2048", c.Memory)
	check(c.CacheLimit >= 0 && c.CacheLimit < 1<<30, "data.cache_limit_mb is %d: take 0 (no limit) or more", c.CacheLimit)
	if err := c.Augment.Validate(); err != nil {
		for line := range strings.Lines(err.Error()) {
			faults = append(faults, errors.New("data.augment."+strings.TrimSpace(line)))
		}
	}
	return errors.Join(faults...)
}

// roomToCrop is how much larger than the input photos are kept at least, so that random crops still have pixels to
// choose from.
const roomToCrop = 1.25

// loadPhotos makes the photos at path ready and sets what of them is learned from and what is held back.
func (f *fitting) loadPhotos(ctx context.Context, path string) (*frames.Store, error) {
	all, err := dataset.OpenTrain(path)
	if err != nil {
		return nil, err
	}
	set, leftOut, err := all.ForTraining()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, class := range leftOut {
		f.log.Warn("class left out: one photo makes no pair; add another", "class", class)
	}
	loaded, store, err := f.load(ctx, set)
	if err != nil {
		return nil, err
	}
	loaded, store, leftOut, err = loaded.ForTrainingWith(store)
	if err != nil {
		return nil, fmt.Errorf("%s: %d photos cannot be read: %w", path, f.skipped, err)
	}
	for _, class := range leftOut {
		f.log.Warn("class left out: only one of its photos can be read, which makes no pair; replace the others", "class", class)
	}
	return store, f.divide(loaded)
}

// load decodes the photos, or takes them from the cache, and warns of what is amiss.
func (f *fitting) load(ctx context.Context, set *dataset.Dataset) (*dataset.Dataset, *frames.Store, error) {
	c := &f.cfg.Data
	cache, err := f.openCache()
	if err != nil {
		return nil, nil, err
	}
	loaded, store, report, err := set.Load(ctx, frames.Options{
		ShorterSide: int(max(roomToCrop, c.Resize) * float64(f.cfg.largestInput())),
		Workers:     f.cfg.workers(), Memory: int64(c.Memory) << 20, Cache: cache,
		Progress: f.reading(len(set.Photos)),
	})
	if errors.Is(err, frames.ErrMemory) {
		return nil, nil, fmt.Errorf("%w; raise data.memory_mb, or set data.cache to a folder with room for them", err)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, s := range report.Skipped {
		f.log.Warn("photo skipped", "path", s.Path, "err", s.Err)
	}
	f.skipped = len(report.Skipped)
	if report.Uncached != nil {
		f.log.Warn("photos not cached: the next start will decode them again", "err", report.Uncached)
	}
	read := map[string]bool{}
	for _, class := range loaded.Classes {
		read[class] = true
	}
	for _, class := range set.Classes {
		if !read[class] {
			f.log.Warn("class left out: none of its photos can be read; replace them", "class", class)
		}
	}
	f.log.Info("photos ready", "photos", store.Len(), "decoded", report.Decoded, "on_disk", report.OnDisk)
	return loaded, store, nil
}

// reading returns what says every ten seconds how many photos are ready. It may be called on several goroutines.
func (f *fitting) reading(photos int) func(done int) {
	var said atomic.Int64 // when
	said.Store(time.Now().Unix())
	return func(done int) {
		now, last := time.Now().Unix(), said.Load()
		if now-last >= 10 && said.CompareAndSwap(last, now) {
			f.log.Info("reading photos", "done", done, "of", photos)
		}
	}
}

// openCache returns the cache, or nil when there is none. Only a folder that the user has named must work.
func (f *fitting) openCache() (*frames.Cache, error) {
	c := &f.cfg.Data
	if c.Cache == CacheOff {
		return nil, nil
	}
	folder := c.Cache
	var err error
	if folder == "" {
		folder, err = frames.DefaultFolder()
	}
	if err == nil {
		var cache *frames.Cache
		if cache, err = frames.OpenCache(folder, int64(c.CacheLimit)<<20); err == nil {
			return cache, nil
		}
	}
	if c.Cache != "" {
		return nil, fmt.Errorf("%w; set data.cache to a folder that can be written, or to %s", err, CacheOff)
	}
	f.log.Warn("no photo cache: each start decodes all photos; set data.cache to a folder that can be written", "err", err)
	return nil, nil
}

// divide sets labels, learned and held. Labels of the classes that are learned from are 0…n−1.
func (f *fitting) divide(set *dataset.Dataset) error {
	d, err := f.cfg.divide(set)
	if err != nil {
		return err
	}
	if held := d.set.Classes[d.classes:]; len(held) > 0 {
		f.log.Info("classes held out", "classes", len(held), "first", strings.Join(held[:min(len(held), 10)], ", "))
	}
	f.photos, f.labels, f.learned, f.held = d.set.Photos, d.set.Labels, d.learned, d.held
	if d.classes < f.cfg.Sampler.Classes {
		f.log.Warn("fewer classes than sampler.classes: batches are smaller", "classes", d.classes)
		f.cfg.Sampler.Classes = d.classes
	}
	return f.cfg.Sampler.shared(f.devices)
}

// division is a data set of which a part is held back.
type division struct {
	set           *dataset.Dataset // classes held back are its last
	classes       int              // that are learned from; their labels are 0…n−1
	learned, held []int            // indices of photos
}

// divide holds photos or classes back. Equal data sets and seeds are divided alike.
func (c *Config) divide(set *dataset.Dataset) (*division, error) {
	rng := rand.New(rand.NewPCG(c.Seed, seedSplit))
	d := &division{set: set, classes: len(set.Classes)}
	if c.Data.HoldoutClasses == 0 {
		d.learned, d.held = dataset.HoldOutPhotos(set.Labels, c.Data.Validation, rng)
		return d, nil
	}
	var err error
	if d.set, d.classes, err = set.HoldOutClasses(c.Data.HoldoutClasses, rng); err != nil {
		return nil, fmt.Errorf("data.holdout_classes is %g: %w", c.Data.HoldoutClasses, err)
	}
	for i, label := range d.set.Labels {
		if label < d.classes {
			d.learned = append(d.learned, i)
		} else {
			d.held = append(d.held, i)
		}
	}
	return d, nil
}

// measured returns the photos that look for their class and those they look among. Without queries each photo of the
// gallery looks among all others of it.
func (f *fitting) measured() (queries, gallery []int) {
	switch {
	case f.cfg.Data.HoldoutClasses > 0:
		return nil, f.held
	case len(f.held) == 0:
		return nil, f.learned
	}
	return f.held, f.learned
}

// batches begins to prepare the batches of the steps that are left.
func (f *fitting) batches(ctx context.Context) (*dataset.Prefetcher, error) {
	var err error
	if f.drawn, err = f.sampler.Position(); err != nil {
		return nil, err
	}
	draw := func() (dataset.Drawn, error) {
		indices := f.sampler.Next()
		for place, k := range indices {
			indices[place] = f.learned[k]
		}
		after, err := f.sampler.Position()
		return dataset.Drawn{Indices: indices, After: after}, err
	}
	values := f.parts.tail.Input.Size()
	return dataset.NewPrefetcher(ctx, draw, f.inputs, values, uint64(f.at.Step), uint64(f.cfg.Schedule.Steps)), nil
}
