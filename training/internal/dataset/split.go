package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// HoldOutClasses picks whole classes that are not to be trained on: a share of them when many is below 1, else that
// many. The choice depends on the random numbers alone. At least two classes are picked and at least two left, since
// either side compares classes; when that cannot be, it is an error.
//
// The data set is returned with the classes picked moved to the end, so that the labels of those left are 0…n−1, and
// with the number n of those.
func (d *Dataset) HoldOutClasses(many float64, rng *rand.Rand) (ordered *Dataset, kept int, err error) {
	classes := len(d.Classes)
	n := int(many)
	if many < 1 {
		n = max(2, int(math.Round(many*float64(classes))))
	}
	if n < 2 || classes-n < 2 {
		return nil, 0, fmt.Errorf("hold out %d of %d classes: at least 2 must be held out and at least 2 left to train on", n, classes)
	}
	held := make([]bool, classes)
	for _, class := range rng.Perm(classes)[:n] {
		held[class] = true
	}
	order := make([]int, 0, classes)
	for _, last := range []bool{false, true} {
		for class := range held {
			if held[class] == last {
				order = append(order, class)
			}
		}
	}
	return d.reorder(order), classes - n, nil
}

// reorder returns the data set with its classes in that order, the photos of each as they were.
func (d *Dataset) reorder(order []int) *Dataset {
	label := make([]int, len(order))
	out := &Dataset{Classes: make([]string, len(order)), Photos: slices.Clone(d.Photos), Labels: make([]int, len(d.Labels))}
	for to, from := range order {
		label[from], out.Classes[to] = to, d.Classes[from]
	}
	for i, l := range d.Labels {
		out.Labels[i] = label[l]
	}
	return out
}

// HoldOutPhotos picks a share of each class's photos, at least one of a class with three or more and never so many that
// fewer than two are left, and returns the indices of those left and of those picked, ascending. The choice depends on
// labels and the random numbers alone.
func HoldOutPhotos(labels []int, share float64, rng *rand.Rand) (left, picked []int) {
	return pick(labels, rng, func(photos int) int {
		if share <= 0 || photos < 3 {
			return 0
		}
		return min(max(1, int(math.Round(share*float64(photos)))), photos-2)
	})
}

// QueryGallery divides the data set for a measurement: up to perClass photos of each class look for their class in the
// gallery of the others. One photo of each class stays in the gallery, so a class with a single photo asks nothing.
// The labels of the two may differ: compare the names of their classes.
func (d *Dataset) QueryGallery(perClass int, rng *rand.Rand) (queries, gallery *Dataset, err error) {
	if perClass < 1 {
		return nil, nil, fmt.Errorf("queries: %d of each class, want at least 1", perClass)
	}
	_, asks := pick(d.Labels, rng, func(photos int) int { return min(perClass, photos-1) })
	if len(asks) == 0 {
		return nil, nil, fmt.Errorf("queries: no class has a second photo to look for")
	}
	query := make([]bool, len(d.Labels))
	for _, i := range asks {
		query[i] = true
	}
	queries = d.keep(func(i int) bool { return query[i] })
	gallery = d.keep(func(i int) bool { return !query[i] })
	return queries, gallery, nil
}

// pick divides photos into those left and those picked, ascending; count says how many of a class's to pick.
func pick(labels []int, rng *rand.Rand, count func(photos int) int) (left, picked []int) {
	byClass := map[int][]int{}
	classes := 0
	for i, l := range labels {
		byClass[l] = append(byClass[l], i)
		classes = max(classes, l+1)
	}
	out := make([]bool, len(labels))
	for class := range classes {
		photos := byClass[class]
		for _, k := range rng.Perm(len(photos))[:count(len(photos))] {
			out[photos[k]] = true
		}
	}
	for i := range labels {
		if out[i] {
			picked = append(picked, i)
		} else {
			left = append(left, i)
		}
	}
	return left, picked
}
