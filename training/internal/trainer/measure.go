package trainer

import (
	"context"
	"fmt"
	"time"

	"xbmedge/internal/retrieval"
)

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
	out, err := f.parts.whole.Output()
	if err != nil {
		return nil, err
	}
	dim := out.C
	all := make([]float32, len(f.labels)*dim)
	keep := func(i int, y []float32) {
		retrieval.Normalize(y)
		copy(all[i*dim:], y)
	}
	if err := runAll(ctx, file, len(f.labels), f.cfg.workers(), inFloat(f.inputs.Plain, keep), func(int) {}); err != nil {
		return nil, err
	}
	if !allFinite(all) {
		return nil, fmt.Errorf("%w: after step %d the embeddings are no numbers any more", errDiverged, f.at.Step)
	}
	fresh := retrieval.Embeddings{Dim: dim, Data: all}
	asking, among := f.measured()
	gallery, galleryLabels := rows(fresh, f.labels, among)
	m := &Metrics{Step: f.at.Step}
	opt := retrieval.Options{Ks: []int{1, 5}}
	var found *retrieval.Evaluation
	if len(asking) == 0 {
		found, err = retrieval.EvaluateLeaveOneOut(ctx, gallery, galleryLabels, opt)
	} else {
		queries, queryLabels := rows(fresh, f.labels, asking)
		found, err = retrieval.Evaluate(ctx, queries, queryLabels, gallery, galleryLabels, opt)
	}
	if err != nil {
		return nil, err
	}
	m.RecallAt1, m.RecallAt5, m.MAP = found.Recall[0], found.Recall[1], found.MAP
	if f.old.Len() > 0 {
		err = f.measureCompatible(ctx, m, fresh)
	}
	return m, err
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
	steps := float64(f.at.Step - f.at.Evaluated)
	m.Loss, m.GradientNorm, m.ImagesPerSec = f.at.Losses/steps, f.at.Norms/steps, speed
	m.Epoch = float64(f.at.Step) / float64(f.stepsPerEpoch())
	m.LearningRate, m.Memory = f.cfg.Optimizer.rate(f.at.Step, f.cfg.Schedule.Steps, &f.at.Plateau), f.learner.filled()
	m.Best = m.better(f.at.Best)
	f.at.Plateau.evaluated(&f.cfg.Optimizer.Plateau, m.RecallAt1)
	f.at.Evaluated, f.at.Losses, f.at.Norms, f.unsaved = f.at.Step, 0, 0, true
	if m.Best {
		f.at.Best = m
		if err := f.save(bestFile); err != nil {
			return err
		}
		w, err := f.learner.weights()
		if err != nil {
			return err
		}
		if err := f.folder.writeNetwork(f.cfg.Network.deployed(f.parts.whole), f.parts.with(w)); err != nil {
			return err
		}
		if err := f.writeRanges(); err != nil {
			return err
		}
	}
	if err := f.folder.record(m); err != nil {
		return err
	}
	f.progress.Evaluated(m)
	f.log.Debug("evaluated", "step", m.Step, "loss", m.Loss, "recall_at_1", m.RecallAt1, "map", m.MAP, "best", m.Best)
	f.meter.reset()
	return nil
}

// meter measures the speed between two evaluations.
type meter struct {
	since  time.Time
	images int
}

func (m *meter) reset()         { *m = meter{since: time.Now()} }
func (m *meter) speed() float64 { return float64(m.images) / max(time.Since(m.since).Seconds(), 1e-9) }
