//go:build !linux

package main

// peakRSS returns the most bytes of memory that the process has had until now, or 0 where that is not known.
func peakRSS() int { return 0 }

func cpuSeconds() float64 { return 0 }
