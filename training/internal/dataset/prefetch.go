package dataset

import (
	"context"
	"sync"
)

// Batch is the input of one step.
type Batch struct {
	Step    uint64
	Indices []int     // of its photos
	Inputs  []float32 // of its photos, one after another
	After   Position  // where the sampler stood when the batch had been drawn: a run that stops after it goes on there
}

// Drawn is a batch that is not filled yet.
type Drawn struct {
	Indices []int
	After   Position
}

// Filler writes the inputs of a step; a Batcher is one.
type Filler interface {
	Fill(step uint64, indices []int, dst []float32) error
}

// Prefetcher prepares the next batch on a goroutine of its own while a step runs on the one before. Batches come in
// the order of their steps and are those that a plain loop of draw and Fill would make.
type Prefetcher struct {
	ready   chan result
	free    chan *Batch // buffers that nobody uses
	given   *Batch      // to the caller
	stopped error       // why there are no more batches; to be read when ready is closed
	cancel  context.CancelFunc
	group   sync.WaitGroup
}

type result struct {
	batch *Batch
	err   error
}

// ahead is how many batches there are: the one in use and the one being prepared. More would only help if the time it
// takes to prepare one varied much.
const ahead = 2

// NewPrefetcher begins to prepare the batches of the steps first…end−1. Inputs have that many values a photo. draw and
// fill are called on one other goroutine, in turns, which ends with ctx. The Prefetcher has to be closed.
func NewPrefetcher(ctx context.Context, draw func() (Drawn, error), fill Filler, values int, first, end uint64) *Prefetcher {
	ctx, cancel := context.WithCancel(ctx)
	p := &Prefetcher{ready: make(chan result), free: make(chan *Batch, ahead), cancel: cancel}
	for range ahead {
		p.free <- &Batch{}
	}
	p.group.Go(func() {
		defer close(p.ready)
		for step := first; step < end; step++ {
			var b *Batch
			select {
			case b = <-p.free:
			case <-ctx.Done():
				p.stopped = ctx.Err()
				return
			}
			err := b.prepare(step, draw, fill, values)
			select {
			case p.ready <- result{b, err}:
			case <-ctx.Done():
				p.stopped = ctx.Err()
				return
			}
			if err != nil {
				return
			}
		}
	})
	return p
}

func (b *Batch) prepare(step uint64, draw func() (Drawn, error), fill Filler, values int) error {
	drawn, err := draw()
	if err != nil {
		return err
	}
	b.Step, b.Indices, b.After = step, drawn.Indices, drawn.After
	if n := len(b.Indices) * values; cap(b.Inputs) < n {
		b.Inputs = make([]float32, n)
	} else {
		b.Inputs = b.Inputs[:n]
	}
	return fill.Fill(step, b.Indices, b.Inputs)
}

// Next waits for the next batch, which is valid until Next is called again; it is nil after the last one or an error.
// The error is that of draw, of Fill, or of the context. Next is for one goroutine.
func (p *Prefetcher) Next() (*Batch, error) {
	if p.given != nil {
		p.free <- p.given // has room for all there are
		p.given = nil
	}
	r, more := <-p.ready
	switch {
	case !more:
		return nil, p.stopped
	case r.err != nil:
		return nil, r.err
	}
	p.given = r.batch
	return r.batch, nil
}

// Close ends the preparation and waits for it.
func (p *Prefetcher) Close() {
	p.cancel()
	p.group.Wait()
}
