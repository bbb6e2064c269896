// Package report writes one HTML file about a training run: its figures, its curves, how far same and different things
// lie apart, what it gets wrong and a map of its embeddings. The file needs nothing beside it: no network, and scripts
// only for comfort. Equal input gives equal bytes.
package report

import (
	"context"
	"errors"
	"fmt"
	"io"

	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
)

// Input is what a report is made of.
type Input struct {
	Title string // for example the name of the run folder
	Facts []Fact // what was trained, how and where, in the order shown

	Steps      []Step
	MemorySize int    // entries the cross-batch memory has room for; 0: trained without
	Config     []byte // the configuration as text, shown as it is

	Protocol    string   // what was searched where, one sentence
	Notes       []string // what else a reader has to know, a sentence each
	Classes     []string // names; a label is an index into them
	Queries     Set
	Gallery     Set
	LeaveOneOut bool // queries and gallery are one set, and no photo finds itself
}

// Fact is one line about a run.
type Fact struct{ Name, Value string }

// Step is one line of metrics.jsonl.
type Step struct {
	Step         int     `json:"step"`
	Epoch        float64 `json:"epoch"`
	Loss         float64 `json:"loss"`
	GradientNorm float64 `json:"gradient_norm"`
	LearningRate float64 `json:"learning_rate"`
	Memory       int     `json:"memory"` // entries filled
	RecallAt1    float64 `json:"recall_at_1"`
	RecallAt5    float64 `json:"recall_at_5"`
	MAP          float64 `json:"map"`
	Best         bool    `json:"best"` // better than all before
	ImagesPerSec float64 `json:"images_per_second"`
}

// Set is photos with their L2-normalised embeddings and their labels, one each.
type Set struct {
	retrieval.Embeddings
	Labels []int
	Photos []photos.Photo
}

// How much of a large data set is looked at; what a report leaves out it says.
const (
	maxQueries = 5000 // queries that are searched for
	maxPoints  = 1500 // embeddings on the map
	maxWorst   = 30   // queries shown with their neighbours
	minWorst   = 12   // of them even where all is right: the narrowest
	maxClasses = 500  // rows of the table of classes
	neighbours = 5    // shown for each query
	seed       = 1    // of the samples
)

// ErrNothingToFind is returned when the gallery holds nothing of any query's class.
var ErrNothingToFind = errors.New("no query has a photo of its class to find")

// Write writes the report. It uses every processor, and reads again only the photos that it shows; one that cannot be
// read is shown as missing. It fails when the input does not fit together, or when ctx is done.
func Write(ctx context.Context, w io.Writer, in *Input) error {
	if err := in.check(); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	c := compare(ctx, in, sample(in.Queries.Len(), maxQueries))
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if len(c.found) == 0 {
		return fmt.Errorf("report: %w", ErrNothingToFind)
	}
	p, err := newPage(ctx, in, c)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return p.write(w)
}

func (in *Input) check() error {
	for _, s := range []struct {
		name string
		set  *Set
	}{{"queries", &in.Queries}, {"gallery", &in.Gallery}} {
		n := s.set.Len()
		if n == 0 {
			return fmt.Errorf("%s: there are none", s.name)
		}
		if len(s.set.Labels) != n || len(s.set.Photos) != n {
			return fmt.Errorf("%s: %d embeddings, %d labels and %d photos",
				s.name, n, len(s.set.Labels), len(s.set.Photos))
		}
		for i, l := range s.set.Labels {
			if l < 0 || l >= len(in.Classes) {
				return fmt.Errorf("%s: label %d of %s, with %d classes", s.name, l, s.set.Photos[i].Path, len(in.Classes))
			}
		}
		for i, v := range s.set.Data {
			if v != v || v > 2 || v < -2 {
				return fmt.Errorf("%s: the embedding of %s holds %v; the network that made it is broken",
					s.name, s.set.Photos[i/s.set.Dim].Path, v)
			}
		}
	}
	if in.Queries.Dim != in.Gallery.Dim {
		return fmt.Errorf("queries have %d dimensions, the gallery has %d", in.Queries.Dim, in.Gallery.Dim)
	}
	if in.LeaveOneOut && in.Queries.Len() != in.Gallery.Len() {
		return fmt.Errorf("leave one out takes one set, not %d queries and a gallery of %d", in.Queries.Len(), in.Gallery.Len())
	}
	return nil
}
