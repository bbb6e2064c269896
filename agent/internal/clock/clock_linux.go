package clock

import (
	"os"
	"syscall"
)

const timeError = 5 // TIME_ERROR of adjtimex(2): the clock is not synchronised

// synchronised asks systemd's time service, and then the kernel, which a service with ProtectClock may not ask.
func synchronised() (yes, known bool) {
	if _, err := os.Stat("/run/systemd/timesync/synchronized"); err == nil {
		return true, true
	}
	var t syscall.Timex
	state, err := syscall.Adjtimex(&t)
	if err != nil {
		return false, false
	}
	return state != timeError, true
}
