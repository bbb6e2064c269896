package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/bundle"
)

// ErrDowngrade is wrapped by the error for a bundle that is older than one the board has had.
var ErrDowngrade = errors.New("older than the bundle that has run here")

// versionsFile is the file in the state folder.
const versionsFile = "bundles.json"

// Versions remembers the highest version of each bundle's name that the agent has run, so that nobody can bring back an
// old bundle, rightly signed once, with its faults.
type Versions struct {
	path    string
	highest map[string]int
	log     *slog.Logger
}

type versionsContent struct {
	Version int            `json:"version"`
	Highest map[string]int `json:"highest"` // by the bundle's name
}

// OpenVersions reads what is remembered in a state folder, which need not be there yet. A damaged file is said in the log
// and counts as empty: the board has to work on.
func OpenVersions(stateDir string, log *slog.Logger) (*Versions, error) {
	v := &Versions{path: filepath.Join(stateDir, versionsFile), highest: map[string]int{}, log: log}
	text, err := os.ReadFile(v.path)
	if errors.Is(err, os.ErrNotExist) {
		return v, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the bundles' versions: %w", err)
	}
	var content versionsContent
	if err := json.Unmarshal(text, &content); err != nil || content.Version != 1 {
		log.Warn("the file with the bundles' versions is damaged; any version is taken once", "file", v.path)
		return v, nil //nolint:nilerr // as documented
	}
	if content.Highest != nil {
		v.highest = content.Highest
	}
	return v, nil
}

// Check returns an error that wraps ErrDowngrade for a bundle of a lower version than has run. Bare models have none.
func (v *Versions) Check(info bundle.ModelInfo) error {
	if highest := v.highest[info.Name]; info.Bundle != nil && info.Version < highest {
		return fmt.Errorf("bundle %s version %d is %w: that was version %d; to go back on purpose set model.allow_downgrade to true",
			info.Name, info.Version, ErrDowngrade, highest)
	}
	return nil
}

// Ran remembers a bundle that has been taken. With model.allow_downgrade it forgets a higher version. That it cannot be
// kept is said in the log.
func (v *Versions) Ran(info bundle.ModelInfo) {
	if info.Bundle == nil || v.highest[info.Name] == info.Version {
		return
	}
	v.highest[info.Name] = info.Version
	if err := atomicfile.WriteJSON(v.path, 0o600, versionsContent{1, v.highest}); err != nil {
		v.log.Warn("the bundle's version cannot be kept: an older one will be taken after a restart", "error", err)
	}
}
