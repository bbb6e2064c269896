package trainer

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/gomlx/gomlx/core/tensors"

	"xbmedge/internal/nn"
)

// errDiverged is wrapped by the errors about losses, gradients, weights and embeddings that are no numbers any more.
var errDiverged = errors.New("training has diverged")

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func allFinite(values []float32) bool {
	return !slices.ContainsFunc(values, func(v float32) bool { return !finite(float64(v)) })
}

// brokenIn names the first tensor that holds what is no number, or none.
func brokenIn(w nn.Weights) string {
	for _, name := range slices.Sorted(maps.Keys(w)) {
		if !allFinite(w[name].Data) {
			return name
		}
	}
	return ""
}

// broken names the first weight that is no number any more.
func (l *learner) broken() string {
	for _, p := range l.params {
		if !allFinite(tensors.MustCopyFlatData[float32](p.Variable.MustValue())) {
			return p.Variable.Name()
		}
	}
	return "some weight"
}

// advise adds to what stopped a run how to go on from its latest checkpoint, which stays as it is, if there is one.
func (f *fitting) advise(err error) error {
	c, loadErr := f.folder.load(latestFile)
	switch {
	case errors.Is(err, errDiverged) && loadErr != nil:
		return fmt.Errorf("%w; no checkpoint was written yet: start anew with another --out and a lower optimizer.learning_rate, "+
			"or set optimizer.clip_norm", err)
	case errors.Is(err, errDiverged):
		return fmt.Errorf("%w; the checkpoint of step %d is kept: go on from it with xbm-train fit --resume %s --set optimizer.learning_rate=%g, "+
			"or set optimizer.clip_norm", err, c.Step, f.folder, f.cfg.Optimizer.LearningRate/10)
	case loadErr != nil:
		return err
	}
	return fmt.Errorf("%w; the checkpoint of step %d is kept: once this is put right, go on from it with xbm-train fit --resume %s",
		err, c.Step, f.folder)
}
