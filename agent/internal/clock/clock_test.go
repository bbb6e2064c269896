package clock

import (
	"os"
	"regexp"
	"testing"
	"time"
)

func TestReading(t *testing.T) {
	if _, err := os.Stat("/proc/uptime"); err != nil {
		t.Skip("no /proc/uptime here")
	}
	c := New()
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(c.Boot()) {
		t.Errorf("boot id %q", c.Boot())
	}
	now := time.Now()
	first, later := c.At(now), c.At(now.Add(90*time.Second))
	if first.Mono <= 0 || first.Boot != c.Boot() {
		t.Errorf("reading %+v", first)
	}
	if d := later.Mono - first.Mono; d < 89.99 || d > 90.01 {
		t.Errorf("90 s later it is %v s later", d)
	}
	if long := c.At(now.Add(-200 * 24 * 365 * time.Hour)); long.Mono != 0 {
		t.Errorf("before the machine's start it is %v", long.Mono)
	}
}
