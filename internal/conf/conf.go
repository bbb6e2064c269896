// Package conf loads a program's configuration: the defaults already in a struct, then a YAML file, then environment
// variables, then `key=value` settings from the command line, then the struct's own Validate. It is strict: a key that
// does not exist is refused by name with the nearest one that does, a value of the wrong type names its key, and all
// faults are reported together. Nothing is watched or reloaded; a program that wants a new configuration loads one.
//
// A struct's fields carry their keys in `yaml:"name"` tags. Fields may be strings, booleans, numbers, time.Duration
// (written "5s"), slices of those, nested structs, and maps from a name to a struct; a map's struct may set its own
// defaults with a method `SetDefaults()`. Keys are not case-sensitive.
package conf

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// Validator is a configuration that can check itself. Faults helps to write one.
type Validator interface {
	Validate() error
}

// defaulter fills a new element of a map of structs before the configuration is laid over it.
type defaulter interface {
	SetDefaults()
}

// Load fills cfg, a pointer to a struct that already holds the defaults.
//
// path is a YAML file; when it is empty, there is none. The key a.b is taken from the environment variable
// envPrefix_A_B when that is set; with an empty envPrefix the environment is not read. set holds "a.b=value"
// settings, which win over both; a list is written with commas. When cfg is a Validator, its Validate has the last
// word. The error holds one line for every fault, each naming where the key was set and the key.
//
// Load reads the environment and is otherwise free of side effects; cfg may be partly filled when it fails.
func Load(path string, cfg any, envPrefix string, set ...string) error {
	t := reflect.TypeOf(cfg)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("load configuration into %T: want a pointer to a struct", cfg)
	}
	root := t.Elem()
	tree, err := readFile(path)
	if err != nil {
		return err
	}
	var faults Faults
	from := path
	if from == "" {
		from = "configuration"
	}
	check(&faults, from, "", tree, root, root)
	overrides := map[string]any{}
	for _, s := range set {
		if err := parseSetting(overrides, s, root); err != nil {
			faults.errs = append(faults.errs, err)
		}
	}
	if err := faults.Err(); err != nil {
		return err
	}

	v := viper.New()
	if err := v.MergeConfigMap(tree); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	for key, value := range overrides {
		v.Set(key, value)
	}
	leaves := setDefaults(v, "", reflect.ValueOf(cfg).Elem(), v.AllSettings())
	if envPrefix != "" {
		readEnv(&faults, v, envPrefix, leaves, overrides)
	}
	if err := faults.Err(); err != nil {
		return err
	}
	if err := v.UnmarshalExact(cfg, strict); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if c, ok := cfg.(Validator); ok {
		for _, err := range flatten(c.Validate()) {
			// A value that was set on the command line is not the file's fault.
			if slices.ContainsFunc(slices.Collect(maps.Keys(overrides)), func(key string) bool { return names(err, key) }) {
				faults.errs = append(faults.errs, fmt.Errorf("setting %w", err))
				continue
			}
			faults.errs = append(faults.errs, fmt.Errorf("%s: %w", from, err))
		}
	}
	return faults.Err()
}

// names reports whether an error's text begins with a key.
func names(err error, key string) bool {
	rest, ok := strings.CutPrefix(err.Error(), key)
	return ok && (strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, " "))
}

// readFile returns the file's mapping with its keys in lower case.
func readFile(path string) (map[string]any, error) {
	if path == "" {
		return nil, nil
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	file := viper.New()
	file.SetConfigFile(path)
	file.SetConfigType("yaml")
	if err := file.ReadInConfig(); err != nil {
		var syntax viper.ConfigParseError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("%s: not valid YAML: %s", path, strings.Join(strings.Fields(syntax.Unwrap().Error()), " "))
		}
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return file.AllSettings(), nil
}

// strict takes only what check has let through: no string becomes a number, no single value a list.
func strict(c *mapstructure.DecoderConfig) {
	c.TagName = tagName
	c.WeaklyTypedInput = false
	c.DecodeHook = mapstructure.StringToTimeDurationHookFunc()
}

// setDefaults gives viper every leaf of the struct value as a default, so that it knows every key, and returns the
// leaves' keys with their types. set holds what is configured below this point: it names the elements of maps.
func setDefaults(v *viper.Viper, prefix string, value reflect.Value, set map[string]any) map[string]reflect.Type {
	leaves := map[string]reflect.Type{}
	merge := func(more map[string]reflect.Type) {
		for k, t := range more {
			leaves[k] = t
		}
	}
	for _, f := range fields(value.Type()) {
		key, fv := join(prefix, f.name), value.Field(f.index)
		below, _ := set[f.name].(map[string]any)
		switch {
		case fv.Kind() == reflect.Struct:
			merge(setDefaults(v, key, fv, below))
		case isStructMap(fv.Type()):
			names := map[string]bool{}
			for _, k := range fv.MapKeys() {
				names[k.String()] = true
			}
			for name := range below {
				names[name] = true
			}
			for name := range names {
				elem := reflect.New(fv.Type().Elem())
				if old := fv.MapIndex(reflect.ValueOf(name)); old.IsValid() {
					elem.Elem().Set(old)
				} else if d, ok := elem.Interface().(defaulter); ok {
					d.SetDefaults()
				}
				sub, _ := below[name].(map[string]any)
				merge(setDefaults(v, join(key, name), elem.Elem(), sub))
			}
		default:
			v.SetDefault(key, fv.Interface())
			leaves[key] = fv.Type()
		}
	}
	return leaves
}

// readEnv lays environment variables over the file. A variable that is no key is refused when it looks like a slip of
// one; others with the prefix may belong to something else.
func readEnv(faults *Faults, v *viper.Viper, prefix string, leaves map[string]reflect.Type, overrides map[string]any) {
	variables := map[string]string{}
	names := make([]string, 0, len(leaves))
	for key := range leaves {
		name := envName(prefix, key)
		variables[name] = key
		names = append(names, name)
	}
	for _, entry := range os.Environ() {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix+"_") {
			continue
		}
		key, known := variables[name]
		if !known {
			if near := nearest(name, names, 2); near != "" {
				faults.errs = append(faults.errs, fmt.Errorf("environment: %s is not known; did you mean %s?", name, near))
			}
			continue
		}
		if _, over := overrides[key]; over {
			continue
		}
		value, err := parseValue(text, leaves[key])
		if err != nil {
			faults.errs = append(faults.errs, fmt.Errorf("environment: %s (%s): %w", name, key, err))
			continue
		}
		v.Set(key, value)
	}
}

func envName(prefix, key string) string {
	return prefix + "_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}
