package trainer

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"xbmedge/internal/retrieval"
	"xbmedge/training/internal/dataset"
	"xbmedge/training/internal/engine"
)

// Progress is told how a run comes along. Its methods are called from one goroutine at a time.
type Progress interface {
	Prepare(share float64)              // the frozen trunk is being run, share of it done
	Step(step, steps int, loss float64) // one step done
	Evaluated(m *Metrics)               // one evaluation done
}

// Result is what a finished run reached.
type Result struct {
	Steps   int     `json:"steps"`
	Best    Metrics `json:"best"`
	Photos  int     `json:"photos"`
	Skipped int     `json:"skipped"` // photos that could not be read
	Seconds float64 `json:"seconds"`
}

// Start begins a new run in the folder run.
func Start(ctx context.Context, d Description, run string, progress Progress, log *slog.Logger) (*Result, error) {
	if err := d.Config.Validate(); err != nil {
		return nil, err
	}
	if err := folder(run).free(); err != nil {
		return nil, err
	}
	f, err := prepare(ctx, &d, folder(run), progress, log)
	if err != nil {
		return nil, err
	}
	if err := f.folder.create(&d); err != nil {
		return nil, err
	}
	return f.train(ctx)
}

// Resume goes on with the run in that folder from its latest checkpoint, with the configuration it was started with.
// On the go backend it ends with the same weights as a run that was never stopped.
func Resume(ctx context.Context, run string, progress Progress, log *slog.Logger) (*Result, error) {
	d, err := ReadDescription(run)
	if err != nil {
		return nil, err
	}
	c, err := folder(run).load(latestFile)
	if err != nil {
		return nil, err
	}
	if err := d.Config.Validate(); err != nil {
		return nil, fmt.Errorf("resume %s: %s: %w", run, configFile, err)
	}
	if c.Step > d.Config.Schedule.Steps {
		return nil, fmt.Errorf("resume %s: its checkpoint is at step %d, after schedule.steps %d in its %s", run, c.Step, d.Config.Schedule.Steps, configFile)
	}
	f, err := prepare(ctx, d, folder(run), progress, log)
	if err != nil {
		return nil, err
	}
	if c.Inputs != f.at.Inputs {
		return nil, fmt.Errorf("resume %s: the photos in %s, or the weights it started from, are no longer those it began with: "+
			"put them back, or start anew with another --out", run, d.Data)
	}
	if err := f.sampler.Restore(c.sampler); err != nil {
		return nil, fmt.Errorf("resume %s: %w", run, err)
	}
	if err := f.learner.restore(c.state); err != nil {
		return nil, fmt.Errorf("resume %s: %w", run, err)
	}
	if err := f.folder.rewind(c.Evaluated); err != nil {
		return nil, err
	}
	f.at = c.position
	log.Info("going on", "step", f.at.Step)
	return f.train(ctx)
}

// fitting is a run in progress.
type fitting struct {
	cfg      *Config
	folder   folder
	progress Progress
	log      *slog.Logger
	parts    *parts
	learner  *learner
	sampler  *dataset.PKSampler
	inputs   inputs
	labels   []int
	learned  []int            // indices of photos that are learned from; their labels are 0…n−1
	held     []int            // indices of photos held back
	drawn    dataset.Position // of the sampler after the latest step; the sampler itself is a batch ahead
	skipped  int
	at       position
	unsaved  bool // at is newer than the latest checkpoint
	started  time.Time
	meter    meter
}

// prepare does everything before the first step: first what shows mistakes soon, last what takes long.
func prepare(ctx context.Context, d *Description, run folder, progress Progress, log *slog.Logger) (f *fitting, err error) {
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w before the first step; nothing was written", errInterrupted)
		}
	}()
	f = &fitting{cfg: &d.Config, folder: run, progress: progress, log: log, started: time.Now()}
	backend, lowering, err := engine.Open(f.cfg.Backend)
	if err != nil {
		return nil, err
	}
	if f.parts, err = newParts(f.cfg); err != nil {
		return nil, err
	}
	photos, err := f.loadPhotos(ctx, d.Data)
	if err != nil {
		return nil, err
	}
	trainLabels := make([]int, len(f.learned))
	for k, i := range f.learned {
		trainLabels[k] = f.labels[i]
	}
	p := &f.cfg.Sampler
	if f.sampler, err = dataset.NewPKSampler(trainLabels, p.Classes, p.Photos, f.cfg.Seed^seedSampler); err != nil {
		return nil, err
	}
	if f.parts.trunk == nil {
		f.inputs, err = newPixels(photos, f.cfg)
	} else {
		f.inputs, err = newViews(ctx, photos, f.parts, f.cfg, progress.Prepare)
	}
	if err != nil {
		return nil, err
	}
	f.at.Inputs = fingerprint(f.labels, photos, f.parts)
	f.learner, err = newLearner(backend, lowering, f.parts.tail, f.parts.weights, f.cfg)
	return f, err
}

// evaluate measures retrieval: photos held back look for their class among those learned from, or, where whole classes
// are held back, among one another. With none held back each photo looks among all others.
func (f *fitting) evaluate(ctx context.Context) (*Metrics, error) {
	w, err := f.learner.weights()
	if err != nil {
		return nil, err
	}
	file, err := floatModel(f.parts.tail, w)
	if err != nil {
		return nil, err
	}
	dim := f.cfg.Network.Embedding
	all := make([]float32, len(f.labels)*dim)
	keep := func(i int, y []float32) {
		retrieval.Normalize(y)
		copy(all[i*dim:], y)
	}
	if err := runAll(ctx, file, len(f.labels), f.cfg.workers(), f.inputs.Plain, keep, func(int) {}); err != nil {
		return nil, err
	}
	pick := func(indices []int) (retrieval.Embeddings, []int) {
		e := retrieval.Embeddings{Dim: dim}
		var labels []int
		for _, i := range indices {
			e.Data = append(e.Data, all[i*dim:(i+1)*dim]...)
			labels = append(labels, f.labels[i])
		}
		return e, labels
	}
	asking, among := f.measured()
	gallery, galleryLabels := pick(among)
	m := &Metrics{Step: f.at.Step}
	var recall []float64
	if len(asking) == 0 {
		if recall, err = retrieval.RecallAtKLeaveOneOut(gallery, galleryLabels, 1, 5); err != nil {
			return nil, err
		}
		m.MAP, err = retrieval.MeanAveragePrecisionLeaveOneOut(gallery, galleryLabels)
	} else {
		queries, queryLabels := pick(asking)
		if recall, err = retrieval.RecallAtK(queries, queryLabels, gallery, galleryLabels, 1, 5); err != nil {
			return nil, err
		}
		m.MAP, err = retrieval.MeanAveragePrecision(queries, queryLabels, gallery, galleryLabels)
	}
	if err != nil {
		return nil, err
	}
	m.RecallAt1, m.RecallAt5 = recall[0], recall[1]
	return m, nil
}

func (c *Config) workers() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return runtime.GOMAXPROCS(0)
}
