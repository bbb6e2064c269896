package pipeline

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"xbmedge/internal/gallery"
)

// A lost camera is told to be off at once, though its driver takes long to close.
func TestOfflineBeforeClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const closing = 10 * time.Second
		var lost time.Time
		n := 0
		src := &fakeSource{closed: func() { time.Sleep(closing) }, read: func(_ context.Context, f *Frame) error {
			if n++; n > 3 {
				lost = time.Now()
				return errors.New("unplugged")
			}
			number(f, n)
			return nil
		}}
		p := &offlineTime{}
		d := deps(src, func(int) gallery.Decision { return known("mug", 0.7) }, &p.fakePublisher)
		d.Publisher = p
		c, err := New(Config{Camera: "cam", Live: true, Track: tracking()}, d)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), closing/2)
		defer cancel()
		if err := c.Run(ctx); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(closing) // until the source is closed
		if at := time.Unix(0, p.at.Load()); lost.IsZero() || at.Before(lost) || at.Sub(lost) > time.Second {
			t.Errorf("lost at %v, told at %v", lost, at)
		}
	})
}

// offlineTime notes when the camera was told to be off for the first time.
type offlineTime struct {
	fakePublisher
	at atomic.Int64 // Unix nanoseconds
}

func (p *offlineTime) Status(_ string, online bool) {
	if !online {
		p.at.CompareAndSwap(0, time.Now().UnixNano())
	}
}
