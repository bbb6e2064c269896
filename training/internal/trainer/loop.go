package trainer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// train runs the steps that are left. What stops it is told with how to go on.
func (f *fitting) train(ctx context.Context) (*Result, error) {
	switch err := f.steps(ctx); {
	case err == nil:
	case ctx.Err() != nil && !errors.Is(err, errDiverged):
		return nil, f.interrupt()
	default:
		return nil, f.advise(err)
	}
	return &Result{Steps: f.at.Step, Best: *f.at.Best, Photos: len(f.labels), Skipped: f.skipped, Seconds: time.Since(f.started).Seconds()}, nil
}

// steps trains to the last step, and evaluates and saves on the way.
func (f *fitting) steps(ctx context.Context) error {
	s := &f.cfg.Schedule
	batch := f.sampler.BatchSize()
	labels := make([]int32, batch)
	var taught []float32
	if f.lessons != nil {
		taught = make([]float32, batch*f.lessons.dim)
	}
	batches, err := f.batches(ctx)
	if err != nil {
		return err
	}
	defer batches.Close()
	f.meter.reset()
	for {
		if f.at.Evaluated != f.at.Step && (f.at.Step%s.Evaluate == 0 || f.at.Step == s.Steps) {
			if err := f.measure(ctx); err != nil {
				return err
			}
		}
		if f.unsaved && (f.at.Step%s.Checkpoint == 0 || f.at.Step == s.Steps) {
			if err := f.save(latestFile); err != nil {
				return err
			}
		}
		if f.at.Step == s.Steps {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := batches.Next()
		if err != nil {
			return err
		}
		for place, i := range b.Indices {
			labels[place] = int32(f.labels[i])
		}
		if f.lessons != nil {
			f.lessons.fill(b.Step, b.Indices, taught)
		}
		rate := f.cfg.Optimizer.rate(f.at.Step, s.Steps, &f.at.Plateau)
		o, err := f.learner.step(b.Inputs, labels, taught, rate)
		if err != nil {
			return fmt.Errorf("step %d, at a learning rate of %.3g: %w", f.at.Step+1, rate, err)
		}
		f.at.Step++
		f.drawn = b.After
		f.at.Losses += o.loss
		f.at.Norms += o.norm
		f.meter.images += batch
		f.unsaved = true
		f.progress.Step(&StepReport{
			Step: f.at.Step, Steps: s.Steps, Loss: o.loss, ImagesPerSec: f.meter.speed(), Memory: f.learner.filled(), MemorySize: f.cfg.XBM.Size,
		})
		if every := s.KeepEpochs * f.stepsPerEpoch(); every > 0 && f.at.Step%every == 0 {
			if err := f.save(fmt.Sprintf(keptFile, f.at.Step)); err != nil {
				return err
			}
		}
	}
}

// interrupt saves what there is, for Resume.
func (f *fitting) interrupt() error {
	if err := f.save(latestFile); err != nil {
		return err
	}
	return fmt.Errorf("%w at step %d of %d; go on with: xbm-train fit --resume %s", errInterrupted, f.at.Step, f.cfg.Schedule.Steps, f.folder)
}

// stepsPerEpoch is how many steps show about every photo once.
func (f *fitting) stepsPerEpoch() int {
	return max(1, (len(f.learned)+f.sampler.BatchSize()-1)/f.sampler.BatchSize())
}

func (f *fitting) save(name string) error {
	state, err := f.learner.state()
	if err != nil {
		return err
	}
	if name := brokenIn(state); name != "" { // nothing could go on from it
		return fmt.Errorf("%w: %s is no number any more after step %d", errDiverged, name, f.at.Step)
	}
	sampler, err := f.drawn.State()
	if err != nil {
		return err
	}
	if err := f.folder.save(name, &checkpoint{position: f.at, sampler: sampler, state: state}); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	if name == latestFile {
		f.unsaved = false
	}
	return nil
}
