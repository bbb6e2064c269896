package trainer

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"xbmedge/training/internal/dataset"
	"xbmedge/training/internal/engine"
)

// quickMining is the largest memory on which semi-hard mining takes little of a step.
const quickMining = 8192

// prepare does everything before the first step: first what shows mistakes soon, last what takes long.
func prepare(ctx context.Context, d *Description, run folder, progress Progress, log *slog.Logger) (f *fitting, err error) {
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w before the first step; nothing was written", errInterrupted)
		}
	}()
	f = &fitting{cfg: &d.Config, folder: run, progress: progress, log: log, started: time.Now()}
	backend, err := engine.Open(f.cfg.Backend)
	if err != nil {
		return nil, err
	}
	f.devices = backend.Devices
	if f.cfg.Loss.semiHard() && f.cfg.XBM.Size > quickMining {
		log.Warn("semi-hard mining takes long on so large a memory: hard mining does not", "xbm.size", f.cfg.XBM.Size)
	}
	if f.parts, err = newParts(f.cfg); err != nil {
		return nil, err
	}
	var taught *teacher
	if f.cfg.Teacher.on() {
		if taught, err = newTeacher(&f.cfg.Teacher); err != nil {
			return nil, err
		}
		if err := taught.suits(f.cfg, f.parts.whole); err != nil {
			return nil, err
		}
	}
	var old *oldModel
	if f.cfg.Compatible.on() {
		out, err := f.parts.whole.Output()
		if err != nil {
			return nil, err
		}
		if old, err = newOldModel(&f.cfg.Compatible, out.C); err != nil {
			return nil, err
		}
		f.oldRef = &old.ref
	}
	photos, err := f.loadPhotos(ctx, d.Data)
	if err != nil {
		return nil, err
	}
	trainLabels := make([]int, len(f.learned))
	for k, i := range f.learned {
		trainLabels[k] = f.labels[i]
	}
	if err := f.settle(ctx, photos); err != nil {
		return nil, err
	}
	p := &f.cfg.Sampler
	if f.sampler, err = dataset.NewPKSampler(trainLabels, p.Classes, p.Photos, f.cfg.Seed^seedSampler); err != nil {
		return nil, err
	}
	if err := f.prepareInputs(ctx, photos, taught); err != nil {
		return nil, err
	}
	var fixed *references
	if old != nil {
		if fixed, err = f.takeOldEmbeddings(ctx, old); err != nil {
			return nil, err
		}
	}
	f.at.Inputs = fingerprint(f.labels, photos, f.parts, f.trunk, taught, old)
	f.learner, err = newLearner(backend, f.parts.tail, f.parts.weights, 1+slices.Max(trainLabels), f.lessons, fixed, f.cfg)
	return f, err
}

// prepareInputs runs what is frozen: the trunk, if there is one, and the teacher.
func (f *fitting) prepareInputs(ctx context.Context, photos dataset.Source, taught *teacher) error {
	views := newViewSet(photos, f.cfg)
	var err error
	switch {
	case f.parts.trunk != nil && f.cfg.Network.Trunk == trunkInt8:
		if f.trunk, err = f.int8Trunk(ctx, photos); err != nil {
			return err
		}
		f.inputs, err = newInt8Outputs(ctx, views, f.parts, f.trunk, f.cfg, f.prepared("frozen trunk"))
	case f.parts.trunk != nil:
		f.inputs, err = newTrunkOutputs(ctx, views, f.parts, f.cfg, f.prepared("frozen trunk"))
	case taught != nil:
		f.inputs, err = newPixels(photos, views, f.cfg)
	default:
		f.inputs, err = newPixels(photos, nil, f.cfg)
	}
	if err != nil || taught == nil {
		return err
	}
	f.lessons, err = taught.teach(ctx, views, f.cfg.workers(), f.prepared("teacher"))
	return err
}

func (f *fitting) prepared(what string) func(share float64) {
	return func(share float64) { f.progress.Prepare(what, share) }
}

// largestInput is the larger input size, in pixels, of the network and its teacher.
func (c *Config) largestInput() int {
	if c.Teacher.Weights != "" {
		return max(c.Network.Size, c.Teacher.Size)
	}
	return c.Network.Size
}

func (c *Config) workers() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return runtime.GOMAXPROCS(0)
}
