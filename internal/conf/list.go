package conf

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Value is one key of a configuration and what it is set to.
type Value struct{ Key, Text string }

// List returns every key of a configuration, a struct or a pointer to one, with its value: a struct's in their order, a
// map's by name.
func List(cfg any) []Value { return list("", reflect.Indirect(reflect.ValueOf(cfg))) }

func list(key string, v reflect.Value) []Value {
	var out []Value
	switch {
	case v.Kind() == reflect.Struct:
		for _, f := range fields(v.Type()) {
			out = append(out, list(join(key, f.name), v.Field(f.index))...)
		}
	case isStructMap(v.Type()):
		elements := map[string]reflect.Value{}
		for _, k := range v.MapKeys() {
			elements[k.String()] = v.MapIndex(k)
		}
		for _, name := range slices.Sorted(maps.Keys(elements)) {
			out = append(out, list(join(key, name), elements[name])...)
		}
	default:
		out = append(out, Value{key, fmt.Sprint(v.Interface())})
	}
	return out
}
