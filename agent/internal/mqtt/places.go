package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"xbmedge/internal/redact"
)

// errReturn says that a connection was given up because a broker that goes before it is back.
var errReturn = errors.New("an earlier broker is back")

// place is one of the brokers that a client may connect to.
type place struct {
	number    int    // from 1 on
	address   string // scheme://host:port
	cfg       Config // for it alone
	log       *slog.Logger
	complaint complaint
}

// newPlaces returns the brokers of a configuration in the order in which they are tried.
func newPlaces(cfg Config, log *slog.Logger) ([]*place, error) {
	places := []*place{}
	for i, url := range append([]string{cfg.Broker}, cfg.Fallbacks...) {
		u, err := parseBroker(url)
		if err != nil {
			return nil, err
		}
		p := &place{number: i + 1, address: u.Scheme + "://" + u.Host, cfg: cfg}
		p.cfg.Broker, p.cfg.Fallbacks = url, nil
		p.log = log.With("broker", redact.URL(url))
		p.complaint.log = p.log
		places = append(places, p)
	}
	return places, nil
}

// remedy returns what to do about an error, for the log; nothing where only the broker can do something.
func (p *place) remedy(err error) []any {
	if _, remedy := Explain(err, p.cfg.Username); remedy != "" {
		return []any{"remedy", remedy}
	}
	return nil
}

// turn says which broker is next, and when.
type turn struct {
	brokers     int
	at          int // the next one, from 0 on
	least, most time.Duration
	backoff     time.Duration // the longest pause after the last of them
}

// begin starts again at the first broker, as if none had failed.
func (t *turn) begin() { t.at, t.backoff = 0, t.least }

// next returns the pause before the next attempt. lost: there was a connection; the first broker is next. Otherwise the
// one after that which has failed is, after a short pause, and after the last one the first, after a growing pause. A
// pause is of any length up to the longest: boards that lost their broker together do not come back together.
func (t *turn) next(lost bool) time.Duration {
	longest := t.least
	if !lost {
		t.at = (t.at + 1) % t.brokers
	}
	if t.at == 0 {
		longest = t.backoff
		t.backoff = min(2*t.backoff, t.most)
	}
	return time.Duration(rand.Int64N(int64(longest)) + 1)
}

// scout asks the brokers that go before one, now and then, whether they let this client in, and closes back when one
// does. stop ends it and waits, at most for ConnectTimeout.
func (c *Client) scout(ctx context.Context, at *place) (back <-chan struct{}, stop func()) {
	earlier := c.places[:at.number-1]
	if len(earlier) == 0 {
		return nil, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	found, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(c.cfg.ReturnEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			for _, p := range earlier {
				err := Probe(context.WithoutCancel(ctx), p.cfg) // to its end: it is an attempt, and there is to be one at a time
				if err == nil {
					close(found)
					return
				}
				p.log.Debug("this broker is still away", "error", err)
			}
		}
	}()
	return found, func() { cancel(); <-done }
}
