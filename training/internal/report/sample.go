package report

import (
	"math/rand/v2"
	"slices"
)

// sample returns at most limit of the numbers 0 to n-1, ascending: all of them where they are few enough, else drawn,
// always the same ones.
func sample(n, limit int) []int {
	chosen := make([]int, 0, min(n, limit))
	if n <= limit {
		for i := range n {
			chosen = append(chosen, i)
		}
		return chosen
	}
	chosen = append(chosen, rand.New(rand.NewPCG(seed, uint64(n))).Perm(n)[:limit]...)
	slices.Sort(chosen)
	return chosen
}
