// Package clock tells what a time of day is worth: a board without a battery starts in the past and jumps when it hears
// of the time.
package clock

import (
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

// Clock knows since when the machine runs.
type Clock struct {
	boot   string
	start  time.Time // with a monotonic part
	uptime float64   // seconds, at start
}

// Reading goes with a time of day.
type Reading struct {
	Boot   string  // id of the machine's start, a UUID; "" where the system does not tell
	Mono   float64 // seconds from then; these never jump, whatever the time of day does
	Synced *bool   // whether the time of day follows a time server; nil where the system does not tell
}

// New asks the system.
func New() *Clock {
	c := &Clock{start: time.Now()}
	if b, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		c.boot = strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/uptime"); err == nil {
		seconds, _, _ := strings.Cut(string(b), " ")
		c.uptime, _ = strconv.ParseFloat(seconds, 64) // 0 then: seconds of the program
	}
	return c
}

// Boot returns the id of the machine's start, "" where the system does not tell.
func (c *Clock) Boot() string { return c.boot }

// At returns what goes with a time that was read from time.Now by this process.
func (c *Clock) At(t time.Time) Reading {
	r := Reading{Boot: c.boot, Mono: math.Round(1000*max(0, c.uptime+t.Sub(c.start).Seconds())) / 1000}
	if yes, known := synchronised(); known {
		r.Synced = &yes
	}
	return r
}
