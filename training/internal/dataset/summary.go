package dataset

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"xbmedge/internal/photos"
	"xbmedge/internal/vision"
)

// Summary is what a data set holds, to look at before a long training.
type Summary struct {
	Kind     Kind     `json:"kind"`
	Train    Part     `json:"train"`
	Test     *Part    `json:"test,omitempty"`     // where there is one
	Disjoint bool     `json:"disjoint,omitempty"` // no class of test is in train
	Problems []string `json:"problems,omitempty"` // nothing that stops a training, but worth a look
}

// Part is one half of a data set.
type Part struct {
	Photos  int     `json:"photos"`
	Least   int     `json:"least"`  // photos of the smallest class
	Median  int     `json:"median"` // of a class
	Most    int     `json:"most"`   // of the largest class
	Classes []Class `json:"classes"`
}

// Class is one class and its photos.
type Class struct {
	Name   string `json:"name"`
	Photos int    `json:"photos"`
}

// Summarize opens the data set at path as a training does, and looks for what could spoil one. With decode, every photo
// is read, which takes as long as the first start of a training.
func Summarize(ctx context.Context, path string, decode bool) (*Summary, error) {
	kind, err := KindOf(path)
	if err != nil {
		return nil, err
	}
	train, err := OpenTrain(path)
	if err != nil {
		return nil, err
	}
	s := &Summary{Kind: kind, Train: train.part()}
	if _, _, err := train.ForTraining(); err != nil {
		s.Problems = append(s.Problems, fmt.Sprintf("cannot be trained on: %v", err))
	}
	all := train.Photos
	if kind == Folders && isFolder(filepath.Join(path, "test")) || kind == SOP && isFile(filepath.Join(path, sopTest)) {
		test, err := OpenTest(path)
		if err != nil {
			return nil, err
		}
		part := test.part()
		s.Test = &part
		s.compare(train, test)
		all = slices.Concat(all, test.Photos)
	}
	single := 0
	for _, c := range s.Train.Classes {
		if c.Photos < 2 {
			single++
		}
	}
	if single > 0 {
		s.Problems = append(s.Problems, fmt.Sprintf("%d of the classes to train on have a single photo, and will be left out", single))
	}
	if !decode {
		return s, nil
	}
	skipped, err := photos.Each(ctx, all, 0, func(i int) error {
		_, err := vision.DecodeFile(all[i].Path)
		return err
	})
	for _, photo := range skipped {
		s.Problems = append(s.Problems, fmt.Sprintf("cannot be read: %v", photo.Err))
	}
	if ctx.Err() != nil {
		return nil, err
	}
	return s, nil // that none can be read is told photo by photo
}

// compare looks at which classes the two halves share.
func (s *Summary) compare(train, test *Dataset) {
	known := map[string]bool{}
	for _, class := range train.Classes {
		known[class] = true
	}
	shared, first := 0, ""
	for _, class := range test.Classes {
		if known[class] {
			shared++
		} else if first == "" {
			first = class
		}
	}
	s.Disjoint = shared == 0
	if unknown := len(test.Classes) - shared; unknown > 0 && shared > 0 {
		s.Problems = append(s.Problems, fmt.Sprintf("%d of the classes to test with are not trained on, the first is %s", unknown, first))
	}
}

func (d *Dataset) part() Part {
	counts := d.Counts()
	p := Part{Photos: len(d.Photos)}
	for class, n := range counts {
		p.Classes = append(p.Classes, Class{d.Classes[class], n})
	}
	slices.Sort(counts)
	p.Least, p.Median, p.Most = counts[0], counts[len(counts)/2], counts[len(counts)-1]
	return p
}
