package trainer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"
	"unicode/utf8"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
	"xbmedge/training/internal/dataset"
)

// Progress is told how a run comes along. Its methods are called from one goroutine at a time.
type Progress interface {
	Prepare(what string, share float64) // a frozen trunk or a teacher is being run, share of it done
	Step(s *StepReport)                 // one step done
	Evaluated(m *Metrics)               // one evaluation done
}

// StepReport is where a run stands after a step.
type StepReport struct {
	Step, Steps        int
	Loss               float64
	ImagesPerSec       float64 // since the last evaluation
	Memory, MemorySize int     // entries filled, of how many
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
func Start(ctx context.Context, d Description, run string, progress Progress, log *slog.Logger) (result *Result, err error) {
	if err := d.Config.Validate(); err != nil {
		return nil, err
	}
	if !utf8.ValidString(d.Data) {
		return nil, fmt.Errorf("the name of %q is not UTF-8, and a run that is resumed would not find it again: give it another name", d.Data)
	}
	if err := folder(run).free(); err != nil {
		return nil, err
	}
	kept, log := newRunLog(log)
	defer func() { err = errors.Join(err, kept.close()) }()
	f, err := prepare(ctx, &d, folder(run), progress, log)
	if err != nil {
		return nil, err
	}
	if err := f.folder.create(&d, f.trunk, kept); err != nil {
		return nil, err
	}
	return f.begin(ctx, &d)
}

// Resume goes on with the run in that folder from its latest checkpoint, with the configuration it was started with.
// On the go backend it ends with the same weights as a run that was never stopped. Change may alter the configuration,
// for which the run's files are written anew; nil leaves it.
func Resume(ctx context.Context, run, version string, change func(*Config) error, progress Progress, log *slog.Logger) (result *Result, err error) {
	d, err := ReadDescription(run)
	if err != nil {
		return nil, err
	}
	d.Version = version
	kept, log := newRunLog(log)
	defer func() { err = errors.Join(err, kept.close()) }()
	if err := kept.open(folder(run)); err != nil {
		return nil, err
	}
	c, err := folder(run).load(latestFile)
	if err != nil {
		return nil, err
	}
	if err := d.change(change); err != nil {
		return nil, fmt.Errorf("resume %s: %w", run, err)
	}
	if err := d.Config.Validate(); err != nil {
		return nil, fmt.Errorf("resume %s: %s: %w", run, configFile, err)
	}
	if c.Step > d.Config.Schedule.Steps {
		return nil, fmt.Errorf("resume %s: its checkpoint is at step %d, after schedule.steps %d: take at least as many steps", run, c.Step, d.Config.Schedule.Steps)
	}
	f, err := prepare(ctx, d, folder(run), progress, log)
	if err != nil {
		return nil, err
	}
	if err := f.goBackTo(c, d.Data); err != nil {
		return nil, fmt.Errorf("resume %s: %w", run, err)
	}
	if change != nil {
		if err := atomicfile.WriteJSON(f.folder.path(configFile), 0o644, d); err != nil {
			return nil, err
		}
	}
	log.Info("going on", "step", f.at.Step)
	return f.begin(ctx, d)
}

// change alters the configuration of a run that has begun, as far as that leaves its state of use.
func (d *Description) change(change func(*Config) error) error {
	if change == nil {
		return nil
	}
	before := d.Config
	if err := errors.Join(change(&d.Config), d.Config.ResolvePaths()); err != nil {
		return err
	}
	free := d.Config // what may be changed is set back, for the comparison
	free.Optimizer, free.Schedule, free.Workers, free.Backend, free.Loss = before.Optimizer, before.Schedule, before.Workers, before.Backend, before.Loss
	free.Data.Cache, free.Data.CacheLimit, free.Data.Memory = before.Data.Cache, before.Data.CacheLimit, before.Data.Memory
	if !reflect.DeepEqual(free, before) {
		return errors.New("only optimizer, schedule, loss, backend, workers, and where data is kept (data.cache, data.cache_limit_mb, " +
			"data.memory_mb) may be changed in a run that has begun; start anew for the rest")
	}
	return nil
}

// goBackTo takes the state of a checkpoint.
func (f *fitting) goBackTo(c *checkpoint, data string) error {
	if c.Inputs != f.at.Inputs {
		return fmt.Errorf("the photos in %s, or the weights it started from, or compatible.model, are no longer those it began with: "+
			"put them back, or start anew with another --out", data)
	}
	if err := f.sampler.Restore(c.sampler); err != nil {
		return err
	}
	if err := f.learner.restore(c.state); err != nil {
		return err
	}
	f.at = c.position
	return errors.Join(f.folder.sweep(), f.folder.rewind(c.Evaluated))
}

// begin writes down what is used and trains.
func (f *fitting) begin(ctx context.Context, d *Description) (*Result, error) {
	if err := f.folder.writeEnvironment(f.environment(d.Version)); err != nil {
		return nil, err
	}
	result, err := f.train(ctx)
	if err != nil {
		return nil, err
	}
	f.report(ctx, d)
	return result, nil
}

// report writes the run's report. A run is worth as much without it, and xbm-train report writes it later.
func (f *fitting) report(ctx context.Context, d *Description) {
	if err := Report(ctx, string(f.folder), d.Data, f.folder.path(ReportFile), f.log); err != nil {
		f.log.Warn("no report was written; xbm-train report does it", "run", string(f.folder), "err", err)
	}
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
	trunk    []byte               // int8 model of the frozen trunk; nil where it is run in float or there is none
	lessons  *lessons             // nil without a teacher
	old      retrieval.Embeddings // of all photos, as an older model has them; empty without
	oldRef   *OldModel            // nil without
	photos   []photos.Photo       // all of them
	labels   []int
	learned  []int            // indices of photos that are learned from; their labels are 0…n−1
	held     []int            // indices of photos held back
	devices  int              // that share a batch
	drawn    dataset.Position // of the sampler after the latest step; the sampler itself is a batch ahead
	skipped  int
	at       position
	unsaved  bool // at is newer than the latest checkpoint
	started  time.Time
	meter    meter
}
