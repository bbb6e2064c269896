package trainer

import (
	"context"
	"fmt"

	"github.com/gomlx/gomlx/core/graph"

	"xbmedge/internal/nn"
	"xbmedge/internal/retrieval"
	"xbmedge/internal/weightfile"
)

// TeacherConfig names a network whose embedding the run learns besides, or instead of, telling classes apart
// (knowledge distillation; Hinton et al., arXiv 1503.02531).
type TeacherConfig struct {
	Run     string  `yaml:"run" json:"run"`         // folder of a run that teaches; or
	Weights string  `yaml:"weights" json:"weights"` // file with weights of a backbone whose pooled features are taught
	Network string  `yaml:"network" json:"network"` // with weights: which backbone that is
	Width   float64 `yaml:"width" json:"width"`     // and its width
	Size    int     `yaml:"size" json:"size"`       // and input, pixels
	Match   string  `yaml:"match" json:"match"`     // features (needs equal dimensions) or similarity (any)
	Weight  float64 `yaml:"weight" json:"weight"`   // of the loss against the teacher
}

// on reports whether there is a teacher.
func (c *TeacherConfig) on() bool { return c.Run != "" || c.Weights != "" }

// What of a teacher a student matches.
const (
	matchFeatures   = "features"   // the embedding itself
	matchSimilarity = "similarity" // the cosines of all pairs of a batch (Park et al., Relational Knowledge Distillation, CVPR 2019)
)

func (c *TeacherConfig) validate() []error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(c.Run == "" || c.Weights == "", "teacher.run and teacher.weights are both given: take one of them")
	check(c.Match == matchFeatures || c.Match == matchSimilarity, "teacher.match is %q: take features or similarity", c.Match)
	check(c.Weight > 0, "teacher.weight is %g: must be above 0; leave teacher.run and teacher.weights empty for no teacher", c.Weight)
	check(c.Size >= 16 && c.Size <= 1024, "teacher.size is %d: take 16 to 1024 pixels", c.Size)
	return faults
}

// teacher is a network that is only run.
type teacher struct {
	file []byte // its float TFLite model
	size int    // of its input, pixels
	dim  int
	unit bool // its output is an embedding, of which only the direction counts
	sum  string
}

func newTeacher(c *TeacherConfig) (*teacher, error) {
	net, w, err := c.network()
	if err != nil {
		return nil, fmt.Errorf("teacher: %w", err)
	}
	out, err := net.Output()
	if err != nil {
		return nil, fmt.Errorf("teacher: %w", err)
	}
	if net.Input.H != net.Input.W {
		return nil, fmt.Errorf("teacher: its input of %v is not square", net.Input)
	}
	file, err := floatModel(net, w)
	if err != nil {
		return nil, fmt.Errorf("teacher: %w", err)
	}
	return &teacher{file: file, size: net.Input.H, dim: out.C, unit: c.Run != "", sum: checksum(w)}, nil
}

// suits refuses a network that cannot learn what this teacher makes.
func (t *teacher) suits(cfg *Config, net *nn.Network) error {
	out, err := net.Output()
	if err != nil {
		return err
	}
	if cfg.Teacher.Match == matchFeatures && t.dim != out.C {
		return fmt.Errorf("the teacher's embeddings have %d values, the network's %d: set network.embedding to %d, or teacher.match to similarity",
			t.dim, out.C, t.dim)
	}
	return nil
}

func (c *TeacherConfig) network() (*nn.Network, nn.Weights, error) {
	if c.Run != "" {
		return nn.ReadNetwork(c.Run)
	}
	net, err := newBackbone(&NetworkConfig{Name: c.Network, Width: c.Width, Size: c.Size, BatchNorm: bnFolded})
	if err != nil {
		return nil, nil, err
	}
	file, err := weightfile.Read(c.Weights)
	if err != nil {
		return nil, nil, err
	}
	w, err := weightfile.Match(net, file)
	if err != nil {
		return nil, nil, fmt.Errorf("weights %s do not fit network %s: %w", c.Weights, net.Name, err)
	}
	return net, w, nil
}

// lessons are what the teacher makes of each view of each photo.
type lessons struct {
	views  *viewSet
	dim    int
	values []float32 // [views][photos][dim]
	spread float64   // mean squared distance of a value from the mean over all
}

// teach runs the teacher on every view. Done is called now and then with the share that is done.
func (t *teacher) teach(ctx context.Context, v *viewSet, workers int, done func(share float64)) (*lessons, error) {
	l := &lessons{views: v, dim: t.dim}
	var err error
	if l.values, err = v.floats(ctx, t.file, t.size, t.dim, workers, done); err != nil {
		return nil, fmt.Errorf("teacher: %w", err)
	}
	if t.unit {
		for i := 0; i < len(l.values); i += t.dim {
			retrieval.Normalize(l.values[i : i+t.dim])
		}
	}
	l.spread = spread(l.values, t.dim)
	return l, nil
}

// spread is the variance of the values of each dimension, averaged over the dimensions.
func spread(values []float32, dim int) float64 {
	sum, square := make([]float64, dim), make([]float64, dim)
	for i, v := range values {
		sum[i%dim] += float64(v)
		square[i%dim] += float64(v) * float64(v)
	}
	n, total := float64(len(values)/dim), 0.0
	for d := range dim {
		mean := sum[d] / n
		total += square[d]/n - mean*mean
	}
	return max(total/float64(dim), 1e-12)
}

// fill writes the teacher's answers to what inputs.Fill gives the student at that step.
func (l *lessons) fill(step uint64, indices []int, dst []float32) {
	for place, i := range indices {
		at := l.views.at(step, place, i)
		copy(dst[place*l.dim:(place+1)*l.dim], l.values[at*l.dim:(at+1)*l.dim])
	}
}

// match is the loss of the student's outputs [B, D] against the teacher's [B, T], a scalar. Features: the mean squared
// error as a share of the teacher's spread, 1 for a student that always answers the mean, 0 for a perfect one.
// Similarity: the mean squared difference of the cosines of all pairs.
func (c *TeacherConfig) match(student, teacher *graph.Node, spread float64) *graph.Node {
	if c.Match == matchFeatures {
		return graph.DivScalar(graph.ReduceAllMean(graph.Square(graph.Sub(student, teacher))), spread)
	}
	cosines := func(x *graph.Node) *graph.Node {
		unit := graph.L2Normalize(x, -1)
		return graph.MatMul(unit, graph.Transpose(unit, 0, 1))
	}
	return graph.ReduceAllMean(graph.Square(graph.Sub(cosines(student), cosines(teacher))))
}
