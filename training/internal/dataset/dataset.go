// Package dataset feeds the trainer: a folder of photos with one sub-folder a class, a sampler that puts batches
// together and the augmentation of their photos.
package dataset

import (
	"context"
	"errors"
	"fmt"

	"xbmedge/internal/photos"
	"xbmedge/internal/vision"
)

// Dataset is a list of photos with their classes. It is not changed after Open and may be read by several goroutines.
type Dataset struct {
	Classes []string       // names, sorted; a label is an index into it
	Photos  []photos.Photo // sorted by class, then by path
	Labels  []int          // of each photo
}

// Open lists the photos under root: one sub-folder a class. A photo that lies directly in root is an error, since
// nobody says what it shows.
func Open(root string) (*Dataset, error) {
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

// ForTrainingWith is ForTraining for a data set that has been loaded: frames, one for each photo, lose those of the
// classes left out as well.
func (d *Dataset) ForTrainingWith(frames []vision.Frame) (usable *Dataset, kept []vision.Frame, leftOut []string, err error) {
	usable, leftOut, err = d.ForTraining()
	if err != nil || len(leftOut) == 0 {
		return usable, frames, leftOut, err
	}
	counts := d.Counts()
	for i, f := range frames {
		if counts[d.Labels[i]] >= 2 {
			kept = append(kept, f)
		}
	}
	return usable, kept, leftOut, nil
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

// Load decodes all photos on that many goroutines (as many as there are processors when workers is not positive) and
// reduces those whose shorter side is longer than shorterSide pixels to that, so that they fit into memory; 0 leaves
// all as they are. Photos that cannot be read are left out of the data set that is returned, whose photos the frames
// belong to one by one, and are reported.
func (d *Dataset) Load(ctx context.Context, shorterSide, workers int) (loaded *Dataset, frames []vision.Frame, skipped []photos.Skipped, err error) {
	all := make([]vision.Frame, len(d.Photos))
	skipped, err = photos.Load(ctx, d.Photos, workers, func(i int, f vision.Frame) {
		all[i] = f
		if small, ok := reduced(f, shorterSide); ok {
			all[i] = small
		}
	})
	if err != nil {
		return nil, nil, skipped, err
	}
	loaded = d.keep(func(i int) bool { return len(all[i].Pix) > 0 })
	frames = make([]vision.Frame, 0, len(loaded.Photos))
	for _, f := range all {
		if len(f.Pix) > 0 {
			frames = append(frames, f)
		}
	}
	return loaded, frames, skipped, nil
}

// reduced returns the frame with its shorter side that long, or false when it is no longer than that.
func reduced(f vision.Frame, shorterSide int) (vision.Frame, bool) {
	shorter := min(f.Width, f.Height)
	if shorterSide <= 0 || shorter <= shorterSide {
		return vision.Frame{}, false
	}
	width, height := (f.Width*shorterSide+shorter/2)/shorter, (f.Height*shorterSide+shorter/2)/shorter
	// A preprocessor of its own for each photo: its memory becomes the photo's.
	small, err := vision.NewPreprocessor(width, height).Resize(f)
	return small, err == nil
}
