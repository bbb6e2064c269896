package pipeline

import (
	"slices"
	"sync/atomic"
	"time"
)

// latencies keeps the latest durations, for their quantiles. One goroutine adds, any may ask. The zero value is empty.
type latencies struct {
	ring [256]atomic.Int64 // nanoseconds, 0 for none yet
	next int
}

func (l *latencies) add(d time.Duration) {
	l.ring[l.next].Store(max(1, int64(d)))
	l.next = (l.next + 1) % len(l.ring)
}

// quantiles returns the median and the 95th percentile (nearest rank), 0 when there are none.
func (l *latencies) quantiles() (p50, p95 time.Duration) {
	all := make([]int64, 0, len(l.ring))
	for i := range l.ring {
		if v := l.ring[i].Load(); v > 0 {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	rank := func(percent int) time.Duration { return time.Duration(all[(percent*len(all)+99)/100-1]) }
	return rank(50), rank(95)
}
