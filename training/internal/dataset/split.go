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
	byClass := map[int][]int{}
	classes := 0
	for i, l := range labels {
		byClass[l] = append(byClass[l], i)
		classes = max(classes, l+1)
	}
	out := make([]bool, len(labels))
	for class := range classes {
		photos := byClass[class]
		n := 0
		if share > 0 && len(photos) >= 3 {
			n = min(max(1, int(math.Round(share*float64(len(photos))))), len(photos)-2)
		}
		for _, k := range rng.Perm(len(photos))[:n] {
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
