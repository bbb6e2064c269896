package main

import "syscall"

// peakRSS returns the most bytes of memory that the process has had until now, or 0 where that is not known.
func peakRSS() int {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return int(usage.Maxrss) * 1024
}

// cpuSeconds returns how long processors have worked for the process until now, or 0 where that is not known.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
