// Package synth draws a data set of its own: packages that no shop sells, photographed by a synthetic camera, so that
// training, converting and recognising can be tried at once and without anybody's pictures.
//
// The products differ in shape, colours, pattern, emblem and brand; those of one palette are easily confused from
// afar. The camera turns and tilts them, holds them in fingers before a cluttered backdrop, changes the light, blurs,
// adds noise and compresses. Some products, the strangers, are kept out of training and enrolment: they are there to
// be told apart from all others.
//
// Equal options and seeds give equal bytes, whatever the number of goroutines (on one kind of processor: another may
// round differently).
package synth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"xbmedge/internal/atomicfile"
)

// Options say what to generate. All numbers are counts unless noted.
type Options struct {
	Dir           string // of the data set; must not exist, be empty, or with Replace hold an older data set
	Replace       bool   // delete the older data set
	Seed          uint64
	Products      int // that are trained and enrolled
	Strangers     int // that are not
	TrainViews    int // photos of each product to train on and enrol
	TestViews     int // photos of each product and stranger to test with
	Size          int // of a photo, in pixels; photos are square
	ClipSegments  int // of the video; 0: no video
	SegmentFrames int // mean length of a segment with a product, in frames; an empty one is shorter
	Workers       int // goroutines; 0: as many as there are processors
}

// DefaultOptions returns a data set that a small network learns in a minute.
func DefaultOptions(dir string) Options {
	return Options{
		Dir: dir, Seed: 1, Products: 40, Strangers: 8, TrainViews: 24, TestViews: 8, Size: 112,
		ClipSegments: 64, SegmentFrames: 12,
	}
}

// Validate reports all options that make no sense, by name.
func (o Options) Validate() error {
	var faults []error
	check := func(name string, value, low, high int) {
		if value < low || value > high {
			faults = append(faults, fmt.Errorf("%s: %d is not in %d…%d", name, value, low, high))
		}
	}
	if o.Dir == "" {
		faults = append(faults, errors.New("no folder given for the data set"))
	}
	check("products", o.Products, 2, maxProducts)
	check("strangers", o.Strangers, 0, maxProducts-min(o.Products, maxProducts))
	check("training views", o.TrainViews, 2, 1000)
	check("test views", o.TestViews, 0, 1000)
	check("size", o.Size, 32, 1024)
	check("clip segments", o.ClipSegments, 0, 10_000)
	if o.ClipSegments > 0 {
		check("segment frames", o.SegmentFrames, 4, 250)
	}
	check("workers", o.Workers, 0, 1024)
	return errors.Join(faults...)
}

// The names of what Generate writes into the data set's folder.
const (
	TrainFolder    = "train"         // one folder a product
	TestFolder     = "test"          // other views of the same
	StrangerFolder = "strangers"     // one folder a stranger
	ProductsFile   = "products.json" // how they look; its presence marks a data set of this package
	ClipFile       = "clip.mjpeg"    // ClipWidth×ClipHeight JPEGs one after another, ClipFPS a second
	ClipIndexFile  = "clip.json"     // what the clip shows and when
)

// Generate writes the data set. It appears in one piece: the files are written to a folder beside Dir, which is renamed
// when all are there; after an error or when ctx is done nothing of it remains.
func Generate(ctx context.Context, o Options, log *slog.Logger) (err error) {
	if err := o.Validate(); err != nil {
		return fmt.Errorf("generate data set: %w", err)
	}
	started := time.Now()
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fmt.Errorf("generate data set: %w", err)
	}
	if err := free(dir, o.Replace); err != nil {
		return fmt.Errorf("generate data set: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // photos of nothing are no secret
		return fmt.Errorf("generate data set: %w", err)
	}
	unfinished, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".tmp-*")
	if err != nil {
		return fmt.Errorf("generate data set: %w", err)
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(unfinished)) // gone already when all went well
	}()
	g, err := newGenerator(ctx, o, unfinished)
	if err != nil {
		return fmt.Errorf("generate data set: %w", err)
	}
	log.Info("drawing products", "products", o.Products, "strangers", o.Strangers, "seed", o.Seed)
	if err := g.run(ctx); err != nil {
		return fmt.Errorf("generate data set: %w", err)
	}
	if err := os.Chmod(unfinished, 0o755); err != nil { //nolint:gosec // see above
		return fmt.Errorf("generate data set: %w", err)
	}
	remove := os.Remove // of an empty folder, which cannot be renamed over
	if o.Replace {
		remove = os.RemoveAll
	}
	if err := remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("generate data set: %w", err)
	}
	if err := os.Rename(unfinished, dir); err != nil {
		return fmt.Errorf("generate data set: %w", err)
	}
	log.Info("data set written", "dir", o.Dir, "photos", g.photos, "clip_frames", g.frames, "took", time.Since(started).Round(time.Millisecond))
	return nil
}

// free makes sure that nothing of the user's is written over.
func free(dir string, replace bool) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) == 0:
		return nil
	}
	_, err = os.Stat(filepath.Join(dir, ProductsFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is not empty and holds no generated data set; name another folder", dir)
	case err != nil:
		return err
	case !replace:
		return fmt.Errorf("%s holds a data set already; name another folder, or ask for it to be replaced", dir)
	}
	return nil
}

// generator is one run.
type generator struct {
	Options
	dir    string
	models []*model
	photos int
	frames int
}

// The purposes of random numbers. Each picture has its own, so that the order of drawing does not matter.
const (
	forProducts uint64 = iota
	forTrain
	forTest
	forStrangers
	forClip
	forSegments
)

func (g *generator) random(purpose uint64, item, view int) *rand.Rand {
	mixed := rand.NewPCG(g.Seed, purpose).Uint64()
	return rand.New(rand.NewPCG(mixed, uint64(item)<<32|uint64(view)))
}

func newGenerator(ctx context.Context, o Options, dir string) (*generator, error) {
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	g := &generator{Options: o, dir: dir}
	products, err := newProducts(g.random(forProducts, 0, 0), o.Products, o.Strangers)
	if err != nil {
		return nil, err
	}
	g.models = make([]*model, len(products))
	font := glyphs()
	err = parallel(ctx, o.Workers, len(products), func() func(int) error {
		return func(i int) error {
			g.models[i] = newModel(products[i], font)
			return nil
		}
	})
	return g, err
}

func (g *generator) run(ctx context.Context) error {
	if err := g.writeProducts(); err != nil {
		return err
	}
	if err := g.writePhotos(ctx); err != nil {
		return err
	}
	if g.ClipSegments == 0 {
		return nil
	}
	return g.writeClip(ctx)
}

// writeProducts lists how everything looks.
func (g *generator) writeProducts() error {
	type entry struct {
		Class    string `json:"class"`
		Word     string `json:"word"`
		Kind     string `json:"kind"`
		Shape    string `json:"shape"`
		Palette  string `json:"palette"`
		Pattern  string `json:"pattern"`
		Emblem   string `json:"emblem"`
		Layout   string `json:"layout"`
		Stranger bool   `json:"stranger"`
	}
	list := struct {
		Schema   int     `json:"schema"`
		Seed     uint64  `json:"seed"`
		Products []entry `json:"products"`
	}{Schema: 1, Seed: g.Seed}
	for _, m := range g.models {
		list.Products = append(list.Products, entry{
			m.class, m.word, m.kind, m.shape.String(), m.palette.name, m.pattern.String(), m.emblem.String(), m.layout.String(), m.stranger,
		})
	}
	return atomicfile.WriteJSON(filepath.Join(g.dir, ProductsFile), 0o644, list)
}

// writePhotos takes the still pictures.
func (g *generator) writePhotos(ctx context.Context) error {
	type task struct {
		purpose    uint64
		item, view int
		path       string
	}
	var tasks []task
	add := func(purpose uint64, folder string, item, views int) error {
		dir := filepath.Join(g.dir, folder, g.models[item].class)
		if views > 0 {
			if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // photos of nothing are no secret
				return err
			}
		}
		for v := range views {
			tasks = append(tasks, task{purpose, item, v, filepath.Join(dir, fmt.Sprintf("%03d.jpg", v))})
		}
		return nil
	}
	for i, m := range g.models {
		var err error
		if m.stranger {
			err = add(forStrangers, StrangerFolder, i, g.TestViews)
		} else {
			err = errors.Join(add(forTrain, TrainFolder, i, g.TrainViews), add(forTest, TestFolder, i, g.TestViews))
		}
		if err != nil {
			return err
		}
	}
	g.photos = len(tasks)
	return parallel(ctx, g.Workers, len(tasks), func() func(int) error {
		cam := newCamera(g.Size, g.Size, true)
		return func(i int) error {
			t := tasks[i]
			rng := g.random(t.purpose, t.item, t.view)
			s := stillShot(rng, g.models[t.item], g.Size)
			var b bytes.Buffer
			if err := cam.take(&b, s, rng); err != nil {
				return err
			}
			// The whole folder is renamed at the end, so a plain write will do.
			return os.WriteFile(t.path, b.Bytes(), 0o644) //nolint:gosec // photos of nothing are no secret
		}
	})
}

func stillShot(rng *rand.Rand, m *model, size int) *shot {
	s := &shot{
		model: m, pose: newPose(rng, m), light: newLight(rng), backX: rng.Float64(), backY: rng.Float64(),
		backdrop: newBackdrop(rng, size, size, 1.3+1.7*rng.Float64()),
	}
	if rng.Float64() < 0.4 {
		s.fingers = newFingers(rng, s.pose, m)
	}
	return s
}

// parallel calls the function that newWorker makes for each goroutine with 0…n−1, each once, until one fails or ctx is
// done; it returns the first error by index.
func parallel(ctx context.Context, workers, n int, newWorker func() func(i int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := make(chan int) // unbuffered: a worker takes an index when it is free
	faults := make([]error, n)
	var group sync.WaitGroup
	for range min(workers, n) {
		group.Go(func() {
			work := newWorker()
			for i := range next {
				if faults[i] = work(i); faults[i] != nil {
					cancel()
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	group.Wait()
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}
