package assemble

// Needed reports for each of n operators whether the value out depends on it. Made and used name the values that an
// operator gives and takes.
func Needed[V comparable](n int, out V, made, used func(operator int) []V) []bool {
	maker := map[V]int{}
	for i := range n {
		for _, v := range made(i) {
			maker[v] = i
		}
	}
	needed := make([]bool, n)
	open := []V{out}
	for len(open) > 0 {
		i, ok := maker[open[len(open)-1]]
		open = open[:len(open)-1]
		if !ok || needed[i] {
			continue
		}
		needed[i] = true
		open = append(open, used(i)...)
	}
	return needed
}
