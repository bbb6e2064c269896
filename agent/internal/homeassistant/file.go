package homeassistant

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"xbmedge/internal/atomicfile"
)

// fileSchema names the shape of the file.
const fileSchema = "homeassistant/1"

// maxGone bounds how many components of a device are remembered after they were taken away: as many as a Home Assistant
// that was away from the broker meanwhile can still be told of.
const maxGone = 200

type file struct {
	Schema  string    `json:"schema"`
	Devices Announced `json:"devices"`
}

// Load reads what was announced. A file that is not there holds nothing.
func Load(path string) (Announced, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Announced{}, nil
	}
	if err != nil {
		return Announced{}, fmt.Errorf("what Home Assistant was told: %w", err)
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil || f.Schema != fileSchema || f.Devices == nil {
		return Announced{}, fmt.Errorf("%s is no list of what Home Assistant was told; what it was told before stays there: "+
			"take away by hand, in Home Assistant, what is too much", path)
	}
	return f.Devices, nil
}

// Save writes what was announced.
func (a Announced) Save(path string) error {
	return atomicfile.WriteJSON(path, 0o644, file{fileSchema, a})
}

// With returns a and, of what is gone, the devices and at most 200 components of each.
func (a Announced) With(gone Announced) Announced {
	out := Announced{}
	for topic, components := range a {
		out[topic] = maps.Clone(components)
	}
	for topic, components := range gone {
		if out[topic] == nil {
			out[topic] = map[string]string{}
		}
		keys := slices.Sorted(maps.Keys(components))
		for _, key := range keys[:min(len(keys), maxGone)] {
			out[topic][key] = components[key]
		}
	}
	return out
}
