package cli

import (
	"flag"
	"strings"
)

var _ flag.Value = (*Settings)(nil)

// Settings is a flag that may be given several times, such as --set key=value; it keeps the values in their order.
type Settings []string

func (s *Settings) String() string { return strings.Join(*s, " ") }

// Set adds a value.
func (s *Settings) Set(value string) error {
	*s = append(*s, value)
	return nil
}
