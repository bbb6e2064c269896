package trainer

import (
	"context"
	"fmt"
	"math"
	"time"

	"xbmedge/internal/nn"
)

// train runs the steps that are left, and evaluates and saves on the way.
func (f *fitting) train(ctx context.Context) (*Result, error) {
	s := &f.cfg.Schedule
	batch := f.sampler.BatchSize()
	labels := make([]int32, batch)
	batches, err := f.batches(ctx)
	if err != nil {
		return nil, err
	}
	defer batches.Close()
	f.meter.reset()
	for {
		if f.at.Evaluated != f.at.Step && (f.at.Step%s.Evaluate == 0 || f.at.Step == s.Steps) {
			if err := f.measure(ctx); err != nil {
				if ctx.Err() != nil {
					return nil, f.interrupt()
				}
				return nil, err
			}
		}
		if f.unsaved && (f.at.Step%s.Checkpoint == 0 || f.at.Step == s.Steps) {
			if err := f.save(latestFile); err != nil {
				return nil, err
			}
		}
		if f.at.Step == s.Steps {
			break
		}
		if ctx.Err() != nil {
			return nil, f.interrupt()
		}
		b, err := batches.Next()
		if err != nil {
			if ctx.Err() != nil {
				return nil, f.interrupt()
			}
			return nil, err
		}
		for place, i := range b.Indices {
			labels[place] = int32(f.labels[i])
		}
		loss, err := f.learner.step(b.Inputs, labels, f.cfg.Optimizer.rate(f.at.Step, s.Steps))
		if err != nil {
			return nil, err
		}
		f.at.Step++
		f.drawn = b.After
		f.at.Losses += loss
		f.meter.images += batch
		f.unsaved = true
		f.progress.Step(f.at.Step, s.Steps, loss)
	}
	return &Result{Steps: f.at.Step, Best: *f.at.Best, Photos: len(f.labels), Skipped: f.skipped, Seconds: time.Since(f.started).Seconds()}, nil
}

// interrupt saves what there is, for Resume.
func (f *fitting) interrupt() error {
	if err := f.save(latestFile); err != nil {
		return err
	}
	return fmt.Errorf("%w at step %d of %d; go on with: xbm-train fit --resume %s", errInterrupted, f.at.Step, f.cfg.Schedule.Steps, f.folder)
}

// measure evaluates, records the result and keeps the weights if they are the best so far.
func (f *fitting) measure(ctx context.Context) (err error) {
	speed := f.meter.speed()
	m, err := f.evaluate(ctx)
	if err != nil {
		return fmt.Errorf("evaluate: %w", err)
	}
	before := f.at
	defer func() {
		if err != nil { // a run that goes on from here has to evaluate again
			f.at = before
		}
	}()
	m.Loss, m.ImagesPerSec = f.at.Losses/float64(f.at.Step-f.at.Evaluated), speed
	m.LearningRate, m.Memory = f.cfg.Optimizer.rate(f.at.Step, f.cfg.Schedule.Steps), f.learner.filled()
	m.Best = m.better(f.at.Best)
	f.at.Evaluated, f.at.Losses, f.unsaved = f.at.Step, 0, true
	if m.Best {
		f.at.Best = m
		if err := f.save(bestFile); err != nil {
			return err
		}
		w, err := f.learner.weights()
		if err != nil {
			return err
		}
		net, folded, err := f.parts.with(w)
		if err != nil {
			return err
		}
		if err := nn.WriteNetwork(string(f.folder), net, folded); err != nil {
			return err
		}
	}
	if err := f.folder.record(m); err != nil {
		return err
	}
	f.progress.Evaluated(m)
	f.meter.reset()
	return nil
}

func (f *fitting) save(name string) error {
	state, err := f.learner.state()
	if err != nil {
		return err
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

// rate is the learning rate of a step: linear growth, then half a cosine down to zero (Loshchilov and Hutter, 2017).
func (c *OptimizerConfig) rate(step, steps int) float64 {
	if step < c.Warmup {
		return c.LearningRate * float64(step+1) / float64(c.Warmup)
	}
	done := float64(step-c.Warmup) / float64(max(steps-c.Warmup, 1))
	return c.LearningRate * 0.5 * (1 + math.Cos(math.Pi*min(done, 1)))
}

// meter measures the speed between two evaluations.
type meter struct {
	since  time.Time
	images int
}

func (m *meter) reset()         { *m = meter{since: time.Now()} }
func (m *meter) speed() float64 { return float64(m.images) / max(time.Since(m.since).Seconds(), 1e-9) }
