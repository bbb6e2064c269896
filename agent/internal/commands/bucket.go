package commands

import (
	"sync"
	"time"
)

// bucket lets so many through at once, and so many a second in the long run.
type bucket struct {
	size, rate float64

	mu   sync.Mutex
	left float64
	at   time.Time
}

func newBucket(size int, rate float64) *bucket {
	return &bucket{size: float64(size), rate: rate, left: float64(size)}
}

// take reports whether one more may pass at a time, which has a monotonic reading.
func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.at.IsZero() {
		b.left = min(b.size, b.left+b.rate*max(0, now.Sub(b.at).Seconds()))
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
