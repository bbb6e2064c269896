package cli

import (
	"strings"

	"github.com/spf13/pflag"
)

var _ pflag.Value = (*Settings)(nil)

// Settings is a flag that may be given several times, such as --set key=value; it keeps the values in their order.
type Settings []string

func (s *Settings) String() string { return strings.Join(*s, " ") }

// Set adds a value.
func (s *Settings) Set(value string) error {
	*s = append(*s, value)
	return nil
}

// Type is the value's name in help where the flag's usage text names none.
func (s *Settings) Type() string { return "KEY=VALUE" }
