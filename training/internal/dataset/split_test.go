package dataset

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/photos"
)

// counted makes a data set with that many photos of each class; a photo's path says of which.
func counted(counts ...int) *Dataset {
	d := &Dataset{Labels: labelsOf(counts...)}
	for class := range counts {
		d.Classes = append(d.Classes, "class"+strconv.Itoa(class))
	}
	for i, label := range d.Labels {
		d.Photos = append(d.Photos, photos.Photo{Path: d.Classes[label] + "/" + strconv.Itoa(i), Class: d.Classes[label]})
	}
	return d
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

func TestHoldOutPhotos(t *testing.T) {
	labels := labelsOf(10, 2, 3)
	left, picked := HoldOutPhotos(labels, 0.2, seeded(1))
	count := map[int]int{}
	for _, i := range picked {
		count[labels[i]]++
	}
	if diff := cmp.Diff(map[int]int{0: 2, 2: 1}, count); diff != "" { // a class of two keeps both
		t.Error(diff)
	}
	all := slices.Sorted(slices.Values(append(slices.Clone(left), picked...)))
	if len(all) != len(labels) || !slices.Equal(slices.Compact(all), all) {
		t.Errorf("left %v and picked %v are no partition", left, picked)
	}
	if _, none := HoldOutPhotos(labels, 0, seeded(1)); len(none) != 0 {
		t.Errorf("a share of 0 held back %v", none)
	}
}

func TestHoldOutClasses(t *testing.T) {
	d := counted(2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	for _, tc := range []struct {
		many float64
		want int
	}{{0.3, 3}, {0.01, 2}, {2, 2}, {8, 8}, {0.8, 8}} {
		ordered, kept, err := d.HoldOutClasses(tc.many, seeded(1))
		if err != nil {
			t.Fatal(err)
		}
		if held := len(ordered.Classes) - kept; held != tc.want {
			t.Errorf("%g of 10 classes: %d held out, want %d", tc.many, held, tc.want)
		}
		if diff := cmp.Diff(slices.Sorted(slices.Values(d.Classes)), slices.Sorted(slices.Values(ordered.Classes))); diff != "" {
			t.Errorf("classes got lost: %s", diff)
		}
		for i, p := range ordered.Photos {
			if p != d.Photos[i] || ordered.Classes[ordered.Labels[i]] != p.Class {
				t.Fatalf("photo %d is %v of class %q, was %v", i, p, ordered.Classes[ordered.Labels[i]], d.Photos[i])
			}
		}
	}
	a, kept, _ := d.HoldOutClasses(4, seeded(1))
	b, _, _ := d.HoldOutClasses(4, seeded(1))
	other, _, _ := d.HoldOutClasses(4, seeded(2))
	if !slices.Equal(a.Classes, b.Classes) || slices.Equal(a.Classes[kept:], other.Classes[kept:]) {
		t.Error("the choice does not follow the seed")
	}
	times := map[string]int{}
	for seed := range uint64(100) {
		one, kept, _ := d.HoldOutClasses(3, seeded(seed))
		for _, class := range one.Classes[kept:] {
			times[class]++
		}
	}
	for _, class := range d.Classes {
		if n := times[class]; n < 15 || n > 45 { // 30 on average
			t.Errorf("%s is held out %d times of 100, others more or less", class, n)
		}
	}
	for _, many := range []float64{1, 9, 10, 0.95} {
		if _, _, err := d.HoldOutClasses(many, seeded(1)); err == nil || !strings.Contains(err.Error(), "at least 2") {
			t.Errorf("%g of 10 classes: %v", many, err)
		}
	}
}

func TestQueryGallery(t *testing.T) {
	d := counted(1, 2, 3, 9)
	queries, gallery, err := d.QueryGallery(2, seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	counts := func(d *Dataset) map[string]int {
		out := map[string]int{}
		for i, p := range d.Photos {
			if d.Classes[d.Labels[i]] != p.Class {
				t.Errorf("%v has the label of %q", p, d.Classes[d.Labels[i]])
			}
			out[p.Class]++
		}
		return out
	}
	if diff := cmp.Diff(map[string]int{"class1": 1, "class2": 2, "class3": 2}, counts(queries)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"class0": 1, "class1": 1, "class2": 1, "class3": 7}, counts(gallery)); diff != "" {
		t.Error(diff)
	}
	for _, p := range queries.Photos {
		if slices.Contains(gallery.Photos, p) {
			t.Errorf("%v is in both", p)
		}
	}
	if _, _, err := counted(1, 1).QueryGallery(1, seeded(1)); err == nil {
		t.Error("single photos asked")
	}
	if _, _, err := d.QueryGallery(0, seeded(1)); err == nil {
		t.Error("0 queries were taken")
	}
}
