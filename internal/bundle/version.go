package bundle

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// ErrAgentTooOld is wrapped by the error for a bundle that needs a newer program.
var ErrAgentTooOld = errors.New("this xbm-agent is too old for the bundle")

var release = regexp.MustCompile(`^v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})`)

// parseVersion reads the three numbers a version begins with; a version may go on after them.
func parseVersion(text string) (v [3]int, err error) {
	found := release.FindStringSubmatch(text)
	if found == nil {
		return v, fmt.Errorf("%q is no version: want three numbers, such as 0.2.0", text)
	}
	for i := range v {
		v[i], _ = strconv.Atoi(found[i+1]) // digits, and few of them
	}
	return v, nil
}

// CheckAgent returns an error that wraps ErrAgentTooOld when the bundle needs a newer program than one of that version.
// A build for development counts as new enough, and one before a release (0.2.0~git…) as the release.
func (m *Manifest) CheckAgent(version string) error {
	if m.MinAgent == "" {
		return nil
	}
	want, err := parseVersion(m.MinAgent)
	if err != nil {
		return err
	}
	have, err := parseVersion(version)
	if err != nil || have == [3]int{} { // (devel), or a commit without a release before it
		return nil //nolint:nilerr // it has no version to compare
	}
	for i := range want {
		if have[i] != want[i] {
			if have[i] < want[i] {
				return fmt.Errorf("%w: %s version %d wants %s or newer, and this is %s: upgrade the program first",
					ErrAgentTooOld, m.Name, m.Version, m.MinAgent, version)
			}
			return nil
		}
	}
	return nil
}
