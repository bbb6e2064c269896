package synth

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// The parts a product's look is put together from.
type (
	shape   int
	pattern int
	emblem  int
	layout  int
)

const (
	box shape = iota
	can
	pouch
	bottle
	shapes
)

const (
	bars  pattern = iota // upright
	bands                // level
	slants
	dots
	checks
	waves
	triangles
	gradient
	rings
	patterns
)

const (
	star emblem = iota
	heart
	drop
	moon
	bolt
	leaf
	hexagon
	cross
	flower
	ring
	mountain
	fish
	emblems
)

const (
	emblemAbove layout = iota // pattern all over, word below
	emblemBelow               // pattern all over, word on top
	halved                    // pattern in the lower half only
	banner                    // word across the middle, two small emblems
	layouts
)

func (s shape) String() string { return [...]string{"box", "can", "pouch", "bottle"}[s] }

func (p pattern) String() string {
	return [...]string{"bars", "bands", "slants", "dots", "checks", "waves", "triangles", "gradient", "rings"}[p]
}

func (e emblem) String() string {
	return [...]string{
		"star", "heart", "drop", "moon", "bolt", "leaf", "hexagon", "cross", "flower", "ring", "mountain", "fish",
	}[e]
}

func (l layout) String() string {
	return [...]string{"emblem above", "emblem below", "halved", "banner"}[l]
}

// palette is the ink of one brand: the ground, the pattern on it, the panel behind the emblem and the word, and these.
type palette struct {
	name                       string
	ground, second, panel, ink colour
}

func palettes() []palette {
	return []palette{
		{"tomato", rgb(0xc8281e), rgb(0xf2a33a), rgb(0xfff4dc), rgb(0x5a1410)},
		{"forest", rgb(0x1f6b3a), rgb(0x8cc63f), rgb(0xf4f7e4), rgb(0x12361f)},
		{"ocean", rgb(0x17498f), rgb(0x4fb3e8), rgb(0xf5fbff), rgb(0x0b2447)},
		{"lemon", rgb(0xf5c518), rgb(0xe07b12), rgb(0x3b2a1a), rgb(0xffe98a)},
		{"plum", rgb(0x5e2a7e), rgb(0xc77ddb), rgb(0xfaf0ff), rgb(0x33124a)},
		{"coffee", rgb(0x4a2c1a), rgb(0xb98552), rgb(0xf3e3cb), rgb(0x2a170c)},
		{"mint", rgb(0x7fd1b5), rgb(0x1e8c78), rgb(0xffffff), rgb(0x0f4f44)},
		{"rose", rgb(0xe86a92), rgb(0xffd0dc), rgb(0xfffafa), rgb(0x8a1f46)},
		{"slate", rgb(0x39424e), rgb(0x9aa7b4), rgb(0xf0d34a), rgb(0x1d2229)},
		{"cream", rgb(0xf3e8cf), rgb(0xc2452d), rgb(0x2f4858), rgb(0xf9f1df)},
		{"sky", rgb(0xbfe3f7), rgb(0xf08a24), rgb(0xffffff), rgb(0x1b5e8c)},
		{"night", rgb(0x11151f), rgb(0xd4a843), rgb(0xf6ecd0), rgb(0x1a1f2c)},
	}
}

// product is one thing that can be bought here.
type product struct {
	class    string // folder name, unique
	word     string // the brand on its front
	kind     string // what is inside, in small letters below the brand
	shape    shape
	palette  palette
	pattern  pattern
	emblem   emblem
	layout   layout
	scale    float64 // of the pattern
	stranger bool
}

// maxProducts is how many can be told apart by pattern and emblem, with some to choose from for the last ones too.
const maxProducts = 72

// newProducts designs n products. Neighbours in a palette come in pairs of the same shape, easily confused from afar,
// but no two products of a palette share a pattern or an emblem, and no two at all share both. Strangers come last and
// change nothing about the products before them.
func newProducts(rng *rand.Rand, n, strangers int) ([]product, error) {
	all := palettes()
	if n+strangers > maxProducts {
		return nil, fmt.Errorf("%d products and %d strangers are more than the %d that look different", n, strangers, maxProducts)
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	words := map[string]bool{}
	products := make([]product, 0, n+strangers)
	for i := range n + strangers {
		group, member := i%len(all), i/len(all)
		p := product{
			palette:  all[group],
			shape:    shape(group+member/2) % shapes,
			scale:    0.8 + 0.5*rng.Float64(),
			layout:   layout(rng.IntN(int(layouts))),
			stranger: i >= n,
		}
		if p.stranger {
			p.unlike(rng, products)
		}
		var choices []product
		for pat := range patterns {
			for emb := range emblems {
				c := p
				c.pattern, c.emblem = pat, emb
				if !slices.ContainsFunc(products, c.tooLike) {
					choices = append(choices, c)
				}
			}
		}
		if len(choices) == 0 {
			return nil, fmt.Errorf("no look is left for product %d", i+1)
		}
		p = choices[rng.IntN(len(choices))]
		for p.word == "" || words[p.word] {
			p.word = brand(rng)
		}
		words[p.word] = true
		p.kind = contents(p.shape)[rng.IntN(4)]
		p.class = strings.ToLower(p.word + "-" + p.kind)
		products = append(products, p)
	}
	return products, nil
}

// unlike gives a stranger a shape and a layout that no product of its palette has, where there are any left: it may
// remind one of a product, but whoever looks can tell that it is none.
func (p *product) unlike(rng *rand.Rand, products []product) {
	var freeShapes []shape
	var freeLayouts []layout
	taken := func(has func(product) bool) bool {
		return slices.ContainsFunc(products, func(o product) bool {
			return !o.stranger && o.palette.name == p.palette.name && has(o)
		})
	}
	for s := range shapes {
		if !taken(func(o product) bool { return o.shape == s }) {
			freeShapes = append(freeShapes, s)
		}
	}
	for l := range layouts {
		if !taken(func(o product) bool { return o.layout == l }) {
			freeLayouts = append(freeLayouts, l)
		}
	}
	if len(freeShapes) > 0 {
		p.shape = freeShapes[rng.IntN(len(freeShapes))]
	}
	if len(freeLayouts) > 0 {
		p.layout = freeLayouts[rng.IntN(len(freeLayouts))]
	}
}

// tooLike reports whether one could be taken for the other from close up.
func (p product) tooLike(other product) bool {
	if p.pattern == other.pattern && p.emblem == other.emblem {
		return true
	}
	return p.palette.name == other.palette.name && (p.pattern == other.pattern || p.emblem == other.emblem)
}

// brand makes up a word of four to seven letters that can be said.
func brand(rng *rand.Rand) string {
	syllables := []string{
		"KA", "MO", "RA", "VEL", "TIN", "SU", "BRO", "ZI", "PA", "LUN", "DO", "FE", "MI", "NO", "SHA", "TOR", "BE", "LO", "GA",
		"RI", "WEN", "JU", "HEX", "YO", "QUA",
	}
	word := ""
	for range 2 + rng.IntN(2) {
		word += syllables[rng.IntN(len(syllables))]
	}
	if len(word) > 7 || len(word) < 4 {
		return ""
	}
	return word
}

func contents(s shape) [4]string {
	switch s {
	case can:
		return [4]string{"SOUP", "BEANS", "COLA", "CORN"}
	case pouch:
		return [4]string{"CHIPS", "NUTS", "COFFEE", "PASTA"}
	case bottle:
		return [4]string{"JUICE", "OIL", "SYRUP", "SAUCE"}
	default:
		return [4]string{"TEA", "OATS", "RICE", "RUSKS"}
	}
}
