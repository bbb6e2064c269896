package report

import (
	"cmp"
	"slices"
	"strings"
)

// figures are means over some queries.
type figures struct {
	queries int
	recall  [len(recallAt)]float64
	mAP     float64
}

// recallAt are the k of recall@k.
var recallAt = [...]int{1, 2, 5, 10}

func (c *comparison) figures() figures { return mean(c.found) }

func mean(found []finding) figures {
	f := figures{queries: len(found)}
	for _, q := range found {
		for i, k := range recallAt {
			if q.firstRank <= k {
				f.recall[i]++
			}
		}
		f.mAP += q.averagePrecision
	}
	if f.queries > 0 {
		for i := range f.recall {
			f.recall[i] /= float64(f.queries)
		}
		f.mAP /= float64(f.queries)
	}
	return f
}

// classFigures are those of the queries of one class.
type classFigures struct {
	figures
	class        int
	gallery      int // photos of it in the gallery
	confusedWith int // class most often found first in its place, -1 for none
	confusions   int // how often
}

// classes returns the figures of every class that was searched for, the worst first.
func (c *comparison) classes() []classFigures {
	gallery := make([]int, len(c.in.Classes))
	for _, l := range c.in.Gallery.Labels {
		gallery[l]++
	}
	byClass := make([][]finding, len(c.in.Classes))
	for _, f := range c.found {
		l := c.in.Queries.Labels[f.query]
		byClass[l] = append(byClass[l], f)
	}
	var all []classFigures
	for class, found := range byClass {
		if len(found) == 0 {
			continue
		}
		f := classFigures{figures: mean(found), class: class, gallery: gallery[class], confusedWith: -1}
		wrong := map[int]int{}
		for _, q := range found {
			if first := q.nearest[0]; !first.right {
				wrong[c.in.Gallery.Labels[first.index]]++
			}
		}
		for other, n := range wrong {
			if n > f.confusions || n == f.confusions && other < f.confusedWith {
				f.confusedWith, f.confusions = other, n
			}
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b classFigures) int {
		return cmp.Or(cmp.Compare(a.recall[0], b.recall[0]), cmp.Compare(a.mAP, b.mAP),
			strings.Compare(c.in.Classes[a.class], c.in.Classes[b.class]), cmp.Compare(a.class, b.class))
	})
	return all
}

// worst returns the queries whose wrong neighbours come nearest compared to the right ones, the worst first: those
// answered wrongly, and where these are few the narrowest of the others.
func (c *comparison) worst() []finding {
	all := slices.Clone(c.found)
	slices.SortStableFunc(all, func(a, b finding) int { return cmp.Compare(b.margin(), a.margin()) })
	wrong := 0
	for wrong < len(all) && all[wrong].firstRank > 1 {
		wrong++
	}
	return all[:min(len(all), max(min(wrong, maxWorst), minWorst))]
}
