package dataset

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// labelsOf makes labels with that many photos of each class.
func labelsOf(counts ...int) []int {
	var labels []int
	for class, n := range counts {
		labels = append(labels, slices.Repeat([]int{class}, n)...)
	}
	return labels
}

func newSampler(t *testing.T, labels []int, p, k int, seed uint64) *PKSampler {
	t.Helper()
	s, err := NewPKSampler(labels, p, k, seed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSamplerBatches(t *testing.T) {
	for _, tc := range []struct {
		name   string
		counts []int
		p, k   int
	}{
		{"even", []int{24, 24, 24, 24, 24, 24, 24, 24}, 4, 4},
		{"uneven", []int{2, 40, 7, 20, 13, 3, 9, 31}, 3, 4},
		{"fewer than k", []int{2, 3, 2, 3, 2}, 2, 5},
		{"all classes at once", []int{5, 5, 5}, 3, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			labels := labelsOf(tc.counts...)
			s := newSampler(t, labels, tc.p, tc.k, 1)
			seen := make([]int, len(labels))
			const epochs = 60
			batches := epochs * len(labels) / s.BatchSize()
			for range batches {
				batch := s.Next()
				if len(batch) != tc.p*tc.k {
					t.Fatalf("batch of %d", len(batch))
				}
				classes := map[int]bool{}
				for i := 0; i < len(batch); i += tc.k {
					group := batch[i : i+tc.k]
					class := labels[group[0]]
					if classes[class] {
						t.Fatalf("class %d twice in %v", class, batch)
					}
					classes[class] = true
					distinct := map[int]bool{}
					for _, photo := range group {
						if labels[photo] != class {
							t.Fatalf("classes mixed in %v", group)
						}
						distinct[photo] = true
						seen[photo]++
					}
					if want := min(tc.k, tc.counts[class]); len(distinct) != want {
						t.Fatalf("%d different photos in %v, want %d", len(distinct), group, want)
					}
				}
			}
			if least, most := slices.Min(seen), slices.Max(seen); least < epochs*8/10 || most > epochs*12/10 {
				t.Errorf("photos were seen %d to %d times in %d epochs", least, most, epochs)
			}
		})
	}
}

func TestSamplerMixesTheClasses(t *testing.T) {
	s := newSampler(t, labelsOf(slices.Repeat([]int{8}, 12)...), 2, 4, 3)
	met := map[[2]int]bool{}
	for range 600 {
		b := s.Next()
		x, y := b[0]/8, b[4]/8
		met[[2]int{min(x, y), max(x, y)}] = true
	}
	if len(met) < 60 { // of 66
		t.Errorf("only %d of 66 pairs of classes met", len(met))
	}
}

func TestSamplerRepeatsAndResumes(t *testing.T) {
	labels := labelsOf(2, 9, 17, 5, 6)
	a, b := newSampler(t, labels, 3, 4, 42), newSampler(t, labels, 3, 4, 42)
	other := newSampler(t, labels, 3, 4, 43)
	same := true
	for range 50 {
		x := a.Next()
		if diff := cmp.Diff(x, b.Next()); diff != "" {
			t.Fatal(diff)
		}
		same = same && slices.Equal(x, other.Next())
	}
	if same {
		t.Error("another seed gives the same batches")
	}
	state, err := a.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Restore(state); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if diff := cmp.Diff(a.Next(), other.Next()); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestPositionStaysWhileTheSamplerGoesOn(t *testing.T) {
	s := newSampler(t, labelsOf(2, 9, 17, 5, 6), 3, 4, 42)
	for range 7 {
		s.Next()
	}
	want, err := s.State()
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Position()
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		s.Next()
	}
	got, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestSamplerRefusals(t *testing.T) {
	for name, call := range map[string]func() error{
		"too few classes": func() error { _, err := NewPKSampler(labelsOf(5, 5), 3, 2, 0); return err },
		"p":               func() error { _, err := NewPKSampler(labelsOf(5, 5), 1, 2, 0); return err },
		"k":               func() error { _, err := NewPKSampler(labelsOf(5, 5), 2, 1, 0); return err },
		"gap":             func() error { _, err := NewPKSampler([]int{0, 0, 2, 2}, 2, 2, 0); return err },
		"negative":        func() error { _, err := NewPKSampler([]int{0, 0, -1, 1}, 2, 2, 0); return err },
		"none":            func() error { _, err := NewPKSampler(nil, 2, 2, 0); return err },
	} {
		if call() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	s, other := newSampler(t, labelsOf(5, 5), 2, 2, 0), newSampler(t, labelsOf(4, 6), 2, 2, 0)
	s.Next()
	state, err := s.State()
	if err != nil {
		t.Fatal(err)
	}
	for name, state := range map[string][]byte{"other photos": state, "text": []byte("{"), "empty": []byte("{}")} {
		if other.Restore(state) == nil {
			t.Errorf("restored %s", name)
		}
	}
}
