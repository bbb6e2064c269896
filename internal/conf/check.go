package conf

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
)

const tagName = "yaml"

type field struct {
	name  string
	index int
}

// fields returns the configurable fields of a struct type in their order.
func fields(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get(tagName), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		out = append(out, field{strings.ToLower(name), i})
	}
	return out
}

func isStructMap(t reflect.Type) bool {
	return t.Kind() == reflect.Map && t.Key().Kind() == reflect.String && t.Elem().Kind() == reflect.Struct
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// check compares what a file holds with the type it goes to.
func check(faults *Faults, from, key string, value any, t, root reflect.Type) {
	add := func(format string, args ...any) {
		faults.errs = append(faults.errs, fmt.Errorf("%s: %s: %s", from, key, fmt.Sprintf(format, args...)))
	}
	switch {
	case t.Kind() == reflect.Struct, isStructMap(t):
		m, ok := value.(map[string]any)
		if !ok {
			if value != nil {
				add("want a mapping of keys to values, got %s", describe(value))
			}
			return
		}
		for _, name := range sortedKeys(m) {
			below, known := child(t, name)
			if !known {
				faults.errs = append(faults.errs, fmt.Errorf("%s: %s: unknown key%s", from, join(key, name), suggest(key, name, t, root)))
				continue
			}
			check(faults, from, join(key, name), m[name], below, root)
		}
	case t.Kind() == reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			add("want a list, got %s", describe(value))
			return
		}
		for i, v := range list {
			check(faults, from, fmt.Sprintf("%s[%d]", key, i), v, t.Elem(), root)
		}
	default:
		if err := checkLeaf(value, t); err != nil {
			add("%s", err)
		}
	}
}

func checkLeaf(value any, t reflect.Type) error {
	v := reflect.ValueOf(value)
	if !v.IsValid() {
		return fmt.Errorf("has no value; want %s", typeName(t))
	}
	if t == reflect.TypeFor[time.Duration]() {
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("want a duration with its unit, such as 5s or 200ms, got %s", describe(value))
		}
		_, err := parseValue(text, t)
		return err
	}
	var ok bool
	switch {
	case t.Kind() == reflect.String, t.Kind() == reflect.Bool:
		ok = v.Kind() == t.Kind()
	case isInt(t):
		ok = (v.CanInt() && !reflect.Zero(t).OverflowInt(v.Int())) || (v.CanUint() && v.Uint() <= 1<<63-1 && !reflect.Zero(t).OverflowInt(int64(v.Uint())))
	case isUint(t):
		ok = (v.CanInt() && v.Int() >= 0 && !reflect.Zero(t).OverflowUint(uint64(v.Int()))) || (v.CanUint() && !reflect.Zero(t).OverflowUint(v.Uint()))
	case isFloat(t):
		ok = v.CanInt() || v.CanUint() || v.CanFloat() && isNumber(v.Float())
	default:
		return fmt.Errorf("cannot be configured: %s", t)
	}
	if !ok {
		return fmt.Errorf("want %s, got %s", typeName(t), describe(value))
	}
	return nil
}

func isInt(t reflect.Type) bool   { return t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64 }
func isUint(t reflect.Type) bool  { return t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uint64 }
func isFloat(t reflect.Type) bool { return t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64 }

// isNumber reports whether f is one that a configuration can mean: neither NaN nor infinite.
func isNumber(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration such as 5s"
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case isInt(t):
		return "a whole number"
	case isUint(t):
		return "a whole number of 0 or more"
	case isFloat(t):
		return "a number"
	}
	return t.String()
}

// describe names a value's type and, for short plain values, the value. A mapping or list is not printed: it may hold
// a secret.
func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "nothing"
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	case string:
		return "text"
	default:
		return fmt.Sprintf("%v", v)
	}
}

// child returns the type below a struct or map type.
func child(t reflect.Type, name string) (reflect.Type, bool) {
	if isStructMap(t) {
		return t.Elem(), true
	}
	if t.Kind() != reflect.Struct {
		return nil, false
	}
	for _, f := range fields(t) {
		if f.name == strings.ToLower(name) {
			return t.Field(f.index).Type, true
		}
	}
	return nil, false
}

// suggest returns what a misspelt key may have meant: a near sibling, the same name elsewhere, or the siblings.
func suggest(prefix, name string, t, root reflect.Type) string {
	var siblings []string
	for _, f := range fields(t) {
		siblings = append(siblings, f.name)
	}
	if near := nearest(name, siblings, max(2, len(name)/3)); near != "" {
		return fmt.Sprintf("; did you mean %s?", join(prefix, near))
	}
	for _, key := range allKeys("", root) {
		if key[strings.LastIndexByte(key, '.')+1:] == name {
			return fmt.Sprintf("; did you mean %s?", key)
		}
	}
	return "; known here: " + strings.Join(siblings, ", ")
}

// allKeys lists the leaves of a struct type; an element of a map is written as *.
func allKeys(prefix string, t reflect.Type) []string {
	var out []string
	for _, f := range fields(t) {
		key, ft := join(prefix, f.name), t.Field(f.index).Type
		switch {
		case ft.Kind() == reflect.Struct:
			out = append(out, allKeys(key, ft)...)
		case isStructMap(ft):
			out = append(out, allKeys(key+".*", ft.Elem())...)
		default:
			out = append(out, key)
		}
	}
	return out
}

// nearest returns the candidate with the least edit distance to name, or "" when all are farther than limit.
func nearest(name string, candidates []string, limit int) string {
	best, bestDistance := "", limit+1
	for _, c := range candidates {
		if d := editDistance(name, c); d < bestDistance || d == bestDistance && best != "" && c < best {
			best, bestDistance = c, d
		}
	}
	return best
}

// editDistance is the optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours
// cost one each.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
