package brokertest

import "sync"

// Attempts counts attempts to connect through cables: one lasts from when the cable is taken up until the broker has
// answered, or the connection is over without that.
type Attempts struct {
	mu               sync.Mutex
	now, most, total int
}

// begin notes an attempt; over notes its end and may be called again.
func (a *Attempts) begin() (over func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now++
	a.total++
	a.most = max(a.most, a.now)
	return sync.OnceFunc(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.now--
	})
}

// Counts returns how many attempts there were, and the most at one time.
func (a *Attempts) Counts() (total, most int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total, a.most
}
