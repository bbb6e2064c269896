package report

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/convert/internal/cost"
	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
)

// angles makes a split of unit vectors in the plane, in degrees; a photo's class is a letter of its name.
func angles(gallery, queries map[string]float64) split {
	var s split
	fill := func(of map[string]float64, e *retrieval.Embeddings, labels *[]int, list *[]photos.Photo) {
		names := make([]string, 0, len(of))
		for name := range of {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			a := of[name] * math.Pi / 180
			e.Dim, e.Data = 2, append(e.Data, float32(math.Cos(a)), float32(math.Sin(a)))
			*labels = append(*labels, int(name[0]))
			*list = append(*list, photos.Photo{Path: name, Class: name[:1]})
		}
	}
	fill(gallery, &s.gallery, &s.galleryLabels, &s.galleryPhotos)
	fill(queries, &s.queries, &s.queryLabels, &s.queriesPhotos)
	return s
}

func compared(t *testing.T, sets ...split) *Result {
	t.Helper()
	r := &Result{Queries: sets[0].compared().Len()}
	if err := r.compare(context.Background(), sets); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCompare(t *testing.T) {
	gallery := map[string]float64{"a1": 0, "a2": 5, "b1": 60, "b2": 66}
	// In int8 a's query moves by 40°, past the middle, and finds b; b's by 1°, and finds b's other photo.
	float := angles(gallery, map[string]float64{"a": 10, "b": 62.5})
	int8s := angles(gallery, map[string]float64{"a": 50, "b": 63.5})
	r := compared(t, float, int8s)
	if *r.RecallAt1Float != 1 || *r.RecallAt1Int8 != 0.5 || *r.RecallAt5Float != 1 || *r.RecallAt5Int8 != 1 {
		t.Errorf("recalls %g and %g, at 5 %g and %g", *r.RecallAt1Float, *r.RecallAt1Int8, *r.RecallAt5Float, *r.RecallAt5Int8)
	}
	// a's right photos are at ranks 3 and 4 in int8: (1/3 + 2/4) ÷ 2.
	if want := (5.0/12 + 1) / 2; math.Abs(*r.MAPInt8-want) > 1e-9 || *r.MAPFloat != 1 {
		t.Errorf("mAP %g and %g, want 1 and %g", *r.MAPFloat, *r.MAPInt8, want)
	}
	if want := math.Cos(40 * math.Pi / 180); math.Abs(*r.CosineMin-want) > 1e-6 || *r.CosineP1 != *r.CosineMin || *r.CosineMean <= want {
		t.Errorf("cosines mean %g, p1 %g, min %g", *r.CosineMean, *r.CosineP1, *r.CosineMin)
	}
	if d := cmp.Diff(&Shift{Changed: 2, Lost: 1}, r.Neighbours); d != "" {
		t.Errorf("neighbours (-want +got):\n%s", d)
	}
	worst := r.Worst[0]
	if worst.Photo != "a" || worst.Float.Photo != "a2" || !worst.Float.Right || worst.Int8.Photo != "b1" || worst.Int8.Right || !worst.Changed {
		t.Errorf("moved most: %+v", worst)
	}
	if n := r.Cosines.Counts[0] + r.Cosines.Counts[len(r.Cosines.Counts)-1]; n != 2 {
		t.Errorf("histogram %v", r.Cosines.Counts)
	}
}

// Without queries every photo is one, and never finds itself.
func TestCompareLeaveOneOut(t *testing.T) {
	float := angles(map[string]float64{"a1": 0, "a2": 4, "b1": 60, "b2": 62}, nil)
	int8s := angles(map[string]float64{"a1": 0, "a2": 4, "b1": 60, "b2": 3}, nil)
	r := compared(t, float, int8s)
	if *r.RecallAt1Float != 1 || *r.RecallAt1Int8 != 0 {
		t.Errorf("recall@1 %g and %g", *r.RecallAt1Float, *r.RecallAt1Int8)
	}
	if r.Pairs.Same != 2 || r.Pairs.Impostors != 4 {
		t.Errorf("%d pairs of one class and %d of two", r.Pairs.Same, r.Pairs.Impostors)
	}
	lone := compared(t, angles(map[string]float64{"a": 0}, nil), angles(map[string]float64{"a": 1}, nil))
	if lone.RecallAt1Float != nil || lone.Pairs != nil || lone.Worst[0].Int8 != (Found{}) {
		t.Errorf("of a single photo: %+v", lone)
	}
}

func TestLowest(t *testing.T) {
	scores := make([]float32, 1000)
	for i := range scores {
		scores[i] = float32(i) / 1000
	}
	for far, want := range map[float64]float32{0.001: 0.998, 0.01: 0.989} { // just above these
		got := lowest(scores, far)
		if got <= want || got > want+1e-4 || math.Abs(shareFrom(scores, got)-far) > 1e-9 {
			t.Errorf("threshold for %g: %g, which accepts %g", far, got, shareFrom(scores, got))
		}
	}
	same := []float32{0.1, 0.5, 0.5, 0.5} // ties are accepted together or not at all
	if got := lowest(same, 0.5); shareFrom(same, got) != 0 {
		t.Errorf("threshold %g accepts %g", got, shareFrom(same, got))
	}
}

// A shift of all scores moves the threshold with it, and a kept one lets in more.
func TestThresholdShift(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	of := func(narrower float64) split {
		gallery, queries := map[string]float64{}, map[string]float64{}
		for i := range 60 {
			for c, class := range []string{"a", "b"} {
				gallery[class+string(rune('A'+i))] = narrower * (float64(c)*70 + 20*rng.Float64())
				queries[class+string(rune('A'+i))] = narrower * (float64(c)*70 + 20*rng.Float64())
			}
		}
		return angles(gallery, queries)
	}
	float, int8s := of(1), of(0.9)
	p, err := pairsAt(context.Background(), &float, &int8s)
	if err != nil || len(p.Thresholds) != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	for _, at := range p.Thresholds {
		if at.Int8 <= at.Float || at.FARKept <= at.FAR || at.AcceptedKept < at.AcceptedInt8 {
			t.Errorf("things came nearer, yet %+v", at)
		}
	}
}

func TestGroup(t *testing.T) {
	got := Group([]cost.Operator{
		{Index: 0, Name: "ADD", Kind: "int8"},
		{Index: 1, Name: "CONV_2D", Kind: "int8", MACs: 10},
		{Index: 2, Name: "ADD", Kind: "int8"},
		{Index: 3, Name: "CONV_2D", Kind: "float32", MACs: 1 << 40},
	}, []int{0, 1})
	want := []Operators{{"CONV_2D", "float32", 1, 0, 1 << 40}, {"CONV_2D", "int8", 1, 1, 10}, {"ADD", "int8", 2, 1, 0}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
