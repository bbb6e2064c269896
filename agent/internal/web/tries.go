package web

import (
	"maps"
	"net/netip"
	"sync"
	"time"
)

const (
	triesTime     = time.Minute
	triesEach     = 5    // attempts to log in, in that time, from one address
	triesTogether = 1000 // addresses that are remembered; when there are more, nobody can try
)

// tries bounds the attempts to log in.
type tries struct {
	mu    sync.Mutex
	since map[netip.Prefix]tried
	now   func() time.Time
}

type tried struct {
	begun time.Time
	n     int
}

func newTries() *tries { return &tries{since: map[netip.Prefix]tried{}, now: time.Now} }

// take reports whether an address may try now, and counts it before the outcome is known, so that many at once are
// counted too.
func (t *tries) take(remote string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	from, now := neighbourhood(remote), t.now()
	c, known := t.since[from]
	if known && now.Sub(c.begun) >= triesTime {
		c, known = tried{}, false
	}
	if !known {
		maps.DeleteFunc(t.since, func(_ netip.Prefix, c tried) bool { return now.Sub(c.begun) >= triesTime })
		if len(t.since) >= triesTogether {
			return false
		}
		c.begun = now
	}
	if c.n >= triesEach {
		return false
	}
	c.n++
	t.since[from] = c
	return true
}

// right forgets the attempts of who knew the token in the end.
func (t *tries) right(remote string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.since, neighbourhood(remote))
}

// neighbourhood is an address, or the 2⁶⁴ of IPv6 that one machine can have.
func neighbourhood(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	address := at.Addr().Unmap().WithZone("")
	bits := 32
	if address.Is6() {
		bits = 64
	}
	p, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
