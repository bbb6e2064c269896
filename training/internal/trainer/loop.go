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
	x := make([]float32, batch*f.parts.tail.Input.Size())
	labels := make([]int32, batch)
	f.meter.reset()
	for f.step < s.Steps {
		if ctx.Err() != nil {
			return nil, f.interrupt()
		}
		indices := f.sampler.Next()
		for place, k := range indices {
			indices[place] = f.learned[k]
			labels[place] = int32(f.labels[f.learned[k]]) //nolint:gosec // far fewer classes than 2³¹
		}
		if err := f.inputs.Fill(uint64(f.step), indices, x); err != nil { //nolint:gosec // not negative
			return nil, err
		}
		loss, err := f.learner.step(x, labels, f.cfg.Optimizer.rate(f.step, s.Steps))
		if err != nil {
			return nil, err
		}
		f.step++
		f.meter.add(loss, batch)
		f.progress.Step(f.step, s.Steps, loss)
		if f.step%s.Evaluate == 0 || f.step == s.Steps {
			if err := f.measure(ctx); err != nil {
				if ctx.Err() != nil {
					return nil, f.interrupt()
				}
				return nil, err
			}
		}
		if f.step%s.Checkpoint == 0 || f.step == s.Steps {
			if err := f.save(latestFile); err != nil {
				return nil, err
			}
		}
	}
	return &Result{Steps: f.step, Best: *f.best, Photos: len(f.labels), Skipped: f.skipped, Seconds: time.Since(f.started).Seconds()}, nil
}

// interrupt saves what there is, for Resume.
func (f *fitting) interrupt() error {
	if err := f.save(latestFile); err != nil {
		return err
	}
	return fmt.Errorf("%w at step %d of %d; go on with: xbm-train fit --resume %s", errInterrupted, f.step, f.cfg.Schedule.Steps, f.folder)
}

// measure evaluates, records the result and keeps the weights if they are the best so far.
func (f *fitting) measure(ctx context.Context) error {
	loss, speed := f.meter.mean(), f.meter.speed()
	m, err := f.evaluate(ctx)
	if err != nil {
		return fmt.Errorf("evaluate: %w", err)
	}
	m.Loss, m.ImagesPerSec = loss, speed
	m.LearningRate, m.Memory = f.cfg.Optimizer.rate(f.step, f.cfg.Schedule.Steps), f.learner.filled()
	m.Best = m.better(f.best)
	if m.Best {
		f.best = m
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
	sampler, err := f.sampler.State()
	if err != nil {
		return err
	}
	if err := f.folder.save(name, &checkpoint{step: f.step, sampler: sampler, best: f.best, state: state}); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
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

// meter averages the loss and the speed between two evaluations.
type meter struct {
	since  time.Time
	losses float64
	steps  int
	images int
}

func (m *meter) reset() { *m = meter{since: time.Now()} }

func (m *meter) add(loss float64, images int) {
	m.losses, m.steps, m.images = m.losses+loss, m.steps+1, m.images+images
}

func (m *meter) mean() float64  { return m.losses / float64(max(m.steps, 1)) }
func (m *meter) speed() float64 { return float64(m.images) / max(time.Since(m.since).Seconds(), 1e-9) }
