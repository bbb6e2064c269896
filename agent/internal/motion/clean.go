package motion

import (
	"cmp"
	"slices"
)

// clean removes specks from the mask and closes small gaps: an opening with a 2×2 square of cells, then a closing with a
// 3×3 one.
func (d *Detector) clean() {
	square(&d.scratch, &d.mask, 0, 1, true)
	square(&d.mask, &d.scratch, -1, 0, false)
	square(&d.scratch, &d.mask, -1, 1, false)
	square(&d.mask, &d.scratch, -1, 1, true)
}

// square sets every cell of dst to whether all (or any) cells of src are set in the square from offset lo to hi around
// it. Beyond the edge is what makes no difference.
func square(dst, src *[cells]bool, lo, hi int, all bool) {
	for y := range rows {
		for x := range columns {
			out := all
			for dy := max(lo, -y); dy <= min(hi, rows-1-y) && out == all; dy++ {
				for dx := max(lo, -x); dx <= min(hi, columns-1-x); dx++ {
					if src[(y+dy)*columns+x+dx] != all {
						out = !all
						break
					}
				}
			}
			dst[y*columns+x] = out
		}
	}
}

// components finds the connected parts of the mask, merges those whose rectangles meet, and sorts them by size.
func (d *Detector) components() {
	d.found = d.found[:0]
	d.scratch = d.mask
	for i, set := range d.scratch {
		if set && d.scratch[i] {
			d.found = append(d.found, d.flood(i))
		}
	}
	for merged := true; merged; {
		merged = false
		for i := 0; i < len(d.found); i++ {
			for j := i + 1; j < len(d.found); j++ {
				if near(d.found[i], d.found[j]) {
					d.found[i] = union(d.found[i], d.found[j])
					d.found = slices.Delete(d.found, j, j+1)
					merged = true
					j--
				}
			}
		}
	}
	slices.SortStableFunc(d.found, func(a, b region) int { return cmp.Compare(b.cells, a.cells) })
}

// flood takes the connected part around a cell out of scratch.
func (d *Detector) flood(start int) region {
	r := region{x0: columns, y0: rows}
	d.stack = append(d.stack[:0], start)
	d.scratch[start] = false
	for len(d.stack) > 0 {
		i := d.stack[len(d.stack)-1]
		d.stack = d.stack[:len(d.stack)-1]
		x, y := i%columns, i/columns
		r.x0, r.y0, r.x1, r.y1 = min(r.x0, x), min(r.y0, y), max(r.x1, x+1), max(r.y1, y+1)
		r.cells++
		for ny := max(0, y-1); ny <= min(rows-1, y+1); ny++ {
			for nx := max(0, x-1); nx <= min(columns-1, x+1); nx++ {
				if n := ny*columns + nx; d.scratch[n] {
					d.scratch[n] = false
					d.stack = append(d.stack, n)
				}
			}
		}
	}
	return r
}

// near reports whether two rectangles overlap or lie next to each other.
func near(a, b region) bool {
	const gap = 1
	return a.x0 <= b.x1+gap && b.x0 <= a.x1+gap && a.y0 <= b.y1+gap && b.y0 <= a.y1+gap
}

func union(a, b region) region {
	return region{min(a.x0, b.x0), min(a.y0, b.y0), max(a.x1, b.x1), max(a.y1, b.y1), a.cells + b.cells}
}
