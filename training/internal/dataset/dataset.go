// Package dataset feeds the trainer: photos with their classes (folders, lists, Stanford Online Products) and ways to
// divide them, a sampler that puts batches together, the augmentation of their photos, and their preparation while a
// step runs.
package dataset

import (
	"context"
	"errors"
	"fmt"

	"xbmedge/internal/photos"
	"xbmedge/training/internal/frames"
)

// Dataset is a list of photos with their classes. It is not changed once it is made and may be read by several goroutines.
type Dataset struct {
	Classes []string       // names; a label is an index into it
	Photos  []photos.Photo // as opened, sorted by class and then by path
	Labels  []int          // of each photo
}

// OpenFolders lists the photos under root: one sub-folder a class. A photo that lies directly in root is an error, since
// nobody says what it shows.
func OpenFolders(root string) (*Dataset, error) {
	list, err := photos.List(root)
	if err != nil {
		return nil, fmt.Errorf("open data set: %w", err)
	}
	d := &Dataset{Photos: list, Labels: make([]int, len(list))}
	for i, p := range list {
		if p.Class == "" {
			return nil, fmt.Errorf("open data set: %s lies directly in %s; move it into a sub-folder named for what it shows", p.Path, root)
		}
		if n := len(d.Classes); n == 0 || d.Classes[n-1] != p.Class {
			d.Classes = append(d.Classes, p.Class)
		}
		d.Labels[i] = len(d.Classes) - 1
	}
	return d, nil
}

// ErrTooFewClasses is wrapped by ForTraining's error.
var ErrTooFewClasses = errors.New("training compares classes and needs at least 2 of them with at least 2 photos each")

// ForTraining returns the data set without the classes that have only one photo, which make no pair to learn from, and
// the names of those left out, for a warning. Labels count the classes that remain. Fewer than two of them are an
// error.
func (d *Dataset) ForTraining() (usable *Dataset, leftOut []string, err error) {
	counts := d.Counts()
	for class, n := range counts {
		if n < 2 {
			leftOut = append(leftOut, d.Classes[class])
		}
	}
	usable = d.keep(func(i int) bool { return counts[d.Labels[i]] >= 2 })
	if n := len(usable.Classes); n < 2 {
		return nil, leftOut, fmt.Errorf("%w; found %d (%d with a single photo)", ErrTooFewClasses, n, len(leftOut))
	}
	return usable, leftOut, nil
}

// ForTrainingWith is ForTraining for a data set that has been loaded: the store, which holds its photos one by one,
// loses those of the classes left out as well.
func (d *Dataset) ForTrainingWith(store *frames.Store) (usable *Dataset, kept *frames.Store, leftOut []string, err error) {
	usable, leftOut, err = d.ForTraining()
	if err != nil {
		return nil, nil, leftOut, err
	}
	counts := d.Counts()
	var indices []int
	for i, label := range d.Labels {
		if counts[label] >= 2 {
			indices = append(indices, i)
		}
	}
	return usable, store.Only(indices), leftOut, nil
}

// Counts returns the number of photos of each class.
func (d *Dataset) Counts() []int {
	counts := make([]int, len(d.Classes))
	for _, label := range d.Labels {
		counts[label]++
	}
	return counts
}

// keep returns the photos for which wanted is true, and the classes that still have any.
func (d *Dataset) keep(wanted func(i int) bool) *Dataset {
	out := &Dataset{}
	labels := map[int]int{}
	for i, p := range d.Photos {
		if !wanted(i) {
			continue
		}
		label, known := labels[d.Labels[i]]
		if !known {
			label = len(out.Classes)
			labels[d.Labels[i]] = label
			out.Classes = append(out.Classes, d.Classes[d.Labels[i]])
		}
		out.Photos = append(out.Photos, p)
		out.Labels = append(out.Labels, label)
	}
	return out
}

// Load makes the photos ready. Those that cannot be read are left out of the data set that is returned, whose photos are
// those of the store one by one, and are reported.
func (d *Dataset) Load(ctx context.Context, o frames.Options) (loaded *Dataset, store *frames.Store, report *frames.Report, err error) {
	store, report, err = frames.Load(ctx, d.Photos, o)
	if err != nil {
		return nil, nil, nil, err
	}
	read := make([]bool, len(d.Photos))
	for _, i := range report.Read {
		read[i] = true
	}
	return d.keep(func(i int) bool { return read[i] }), store, report, nil
}
