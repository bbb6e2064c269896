// Package board reads what a Linux board says of itself: heat, throttling, memory.
package board

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Board is the machine whose files lie below a root folder, "/" but in tests. What a machine does not tell is not
// there: no method fails.
type Board struct{ root string }

// New returns the board with that root folder.
func New(root string) *Board { return &Board{root: root} }

// Temperature returns the hottest thermal zone in °C.
func (b *Board) Temperature() (celsius float64, known bool) {
	for _, path := range b.glob("sys/class/thermal/thermal_zone*/temp") {
		if milli, err := strconv.ParseFloat(read(path), 64); err == nil && milli > -50_000 && milli < 200_000 {
			if c := milli / 1000; !known || c > celsius {
				celsius, known = c, true
			}
		}
	}
	return celsius, known
}

// Throttling is what a Raspberry Pi's firmware does at the moment (bits 0 to 3 of get_throttled).
type Throttling struct {
	UnderVoltage bool // the power supply or its cable is too weak
	Slowed       bool // the processor runs slower than it could, for heat or want of power
}

// Throttling asks a Raspberry Pi's firmware, or another board's voltage sensor.
func (b *Board) Throttling() Throttling {
	var t Throttling
	for _, path := range b.glob("sys/devices/platform/*/*firmware/get_throttled") {
		if bits, err := strconv.ParseUint(strings.TrimPrefix(read(path), "0x"), 16, 32); err == nil {
			t.UnderVoltage = t.UnderVoltage || bits&1 != 0
			t.Slowed = t.Slowed || bits&0b1110 != 0
		}
	}
	for _, path := range b.glob("sys/class/hwmon/hwmon*/in0_lcrit_alarm") {
		t.UnderVoltage = t.UnderVoltage || read(path) == "1"
	}
	return t
}

// RSS returns the memory that this process holds, in bytes, 0 where that is not known.
func (b *Board) RSS() uint64 {
	for line := range strings.Lines(read(filepath.Join(b.root, "proc/self/status"))) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil || kB > math.MaxUint64/1024 {
				return 0
			}
			return 1024 * kB
		}
	}
	return 0
}

// OpenFiles returns how many files, sockets and pipes this process has open, 0 where that is not known.
func (b *Board) OpenFiles() int { return len(b.glob("proc/self/fd/*")) }

// Model names the board, such as "Raspberry Pi 5 Model B Rev 1.0", "" where it has no device tree.
func (b *Board) Model() string {
	return strings.Trim(read(filepath.Join(b.root, "proc/device-tree/model")), "\x00\n ")
}

func (b *Board) glob(pattern string) []string {
	paths, err := filepath.Glob(filepath.Join(b.root, pattern))
	if err != nil {
		return nil
	}
	return paths
}

// read returns a small file's text without the space around it, "" when it cannot be read.
func read(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
