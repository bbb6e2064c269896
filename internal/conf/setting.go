package conf

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// parseSetting puts one "key=value" into settings, its value parsed for the key's type.
func parseSetting(settings map[string]any, text string, root reflect.Type) error {
	key, value, ok := strings.Cut(text, "=")
	key = strings.ToLower(strings.TrimSpace(key))
	if !ok || key == "" {
		return fmt.Errorf("setting %q: want key=value", text)
	}
	t, prefix := root, ""
	for _, name := range strings.Split(key, ".") {
		below, known := child(t, name)
		if !known {
			hint := ""
			if t.Kind() == reflect.Struct {
				hint = suggest(prefix, name, t, root)
			}
			return fmt.Errorf("setting %s: unknown key%s", key, hint)
		}
		t, prefix = below, join(prefix, name)
	}
	if t.Kind() == reflect.Struct || isStructMap(t) {
		return fmt.Errorf("setting %s: holds other keys; name one of those", key)
	}
	parsed, err := parseValue(value, t)
	if err != nil {
		return fmt.Errorf("setting %s: %w", key, err)
	}
	settings[key] = parsed
	return nil
}

// parseValue reads text from the environment or the command line as a value of type t.
func parseValue(text string, t reflect.Type) (any, error) {
	if t == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("want a duration with its unit, such as 5s or 200ms, got %q", text)
		}
		return d, nil
	}
	var parsed any
	var err error
	switch {
	case t.Kind() == reflect.String:
		return text, nil
	case t.Kind() == reflect.Bool:
		parsed, err = strconv.ParseBool(text)
	case isInt(t):
		parsed, err = strconv.ParseInt(text, 10, t.Bits())
	case isUint(t):
		parsed, err = strconv.ParseUint(text, 10, t.Bits())
	case isFloat(t):
		var f float64
		if f, err = strconv.ParseFloat(text, t.Bits()); err == nil && !isNumber(f) {
			err = strconv.ErrRange
		}
		parsed = f
	case t.Kind() == reflect.Slice:
		list := reflect.MakeSlice(reflect.SliceOf(reflect.TypeFor[any]()), 0, 0)
		for _, part := range strings.Split(text, ",") {
			if text == "" {
				break
			}
			v, err := parseValue(strings.TrimSpace(part), t.Elem())
			if err != nil {
				return nil, err
			}
			list = reflect.Append(list, reflect.ValueOf(v))
		}
		return list.Interface(), nil
	default:
		return nil, fmt.Errorf("cannot be set from text: %s", t)
	}
	if err != nil {
		return nil, fmt.Errorf("want %s, got %q", typeName(t), text)
	}
	return parsed, nil
}
