package dataset

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func drawFrom(s *PKSampler) func() (Drawn, error) {
	return func() (Drawn, error) {
		indices := s.Next()
		after, err := s.Position()
		return Drawn{indices, after}, err
	}
}

// The batches, and where the sampler stood after each, are those of a plain loop, whatever the number of workers.
func TestPrefetcherGivesWhatAPlainLoopGives(t *testing.T) {
	defer goleak.VerifyNone(t)
	photos := held{scene(40, 30), scene(30, 30), scene(33, 44), scene(20, 28), scene(50, 40), scene(31, 29)}
	labels := labelsOf(3, 3)
	const size, first, end = 3 * 16 * 16, 5, 12
	type step struct {
		Step    uint64
		Indices []int
		Inputs  []float32
		State   string
	}
	var want []step
	sampler := newSampler(t, labels, 2, 2, 1)
	for s := uint64(first); s < end; s++ {
		b, err := NewBatcher(photos, mixture(), 16, 16, 1, 9)
		if err != nil {
			t.Fatal(err)
		}
		one := step{Step: s, Indices: sampler.Next(), Inputs: make([]float32, 4*size)}
		if err := b.Fill(s, one.Indices, one.Inputs); err != nil {
			t.Fatal(err)
		}
		state, err := sampler.State()
		if err != nil {
			t.Fatal(err)
		}
		one.State = string(state)
		want = append(want, one)
	}
	for _, workers := range []int{1, 2, 5} {
		b, err := NewBatcher(photos, mixture(), 16, 16, workers, 9)
		if err != nil {
			t.Fatal(err)
		}
		p := NewPrefetcher(t.Context(), drawFrom(newSampler(t, labels, 2, 2, 1)), b, size, first, end)
		var got []step
		for {
			batch, err := p.Next()
			if err != nil {
				t.Fatal(err)
			}
			if batch == nil {
				break
			}
			state, err := batch.After.State()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, step{batch.Step, slices.Clone(batch.Indices), slices.Clone(batch.Inputs), string(state)})
		}
		p.Close()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d workers: %s", workers, diff)
		}
	}
}

// A batch is not touched before the next one is asked for.
func TestPrefetcherLeavesTheBatchInUseAlone(t *testing.T) {
	fill := fillFunc(func(step uint64, _ []int, dst []float32) error { dst[0] = float32(step); return nil })
	p := NewPrefetcher(t.Context(), func() (Drawn, error) { return Drawn{Indices: []int{0}}, nil }, fill, 1, 0, 50)
	defer p.Close()
	for want := range uint64(50) {
		b, err := p.Next()
		if err != nil {
			t.Fatal(err)
		}
		if b.Step != want || b.Inputs[0] != float32(want) {
			t.Fatalf("batch %d holds the inputs of step %g, want %d", b.Step, b.Inputs[0], want)
		}
	}
}

type fillFunc func(step uint64, indices []int, dst []float32) error

func (f fillFunc) Fill(step uint64, indices []int, dst []float32) error { return f(step, indices, dst) }

func TestPrefetcherStops(t *testing.T) {
	defer goleak.VerifyNone(t)
	broken := errors.New("broken")
	draw := func() (Drawn, error) { return Drawn{Indices: []int{0, 0}}, nil }
	sound := fillFunc(func(uint64, []int, []float32) error { return nil })

	p := NewPrefetcher(t.Context(), draw, sound, 1, 0, 1000) // closed with batches left, one in use
	if _, err := p.Next(); err != nil {
		t.Fatal(err)
	}
	p.Close()
	p.Close() // twice is harmless

	p = NewPrefetcher(t.Context(), draw, fillFunc(func(step uint64, _ []int, _ []float32) error {
		if step == 2 {
			return broken
		}
		return nil
	}), 1, 0, 1000)
	for range 2 {
		if _, err := p.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Next(); !errors.Is(err, broken) {
		t.Errorf("Fill's error came as %v", err)
	}
	if b, err := p.Next(); b != nil || err != nil {
		t.Errorf("after the error: %v, %v", b, err)
	}
	p.Close()

	p = NewPrefetcher(t.Context(), func() (Drawn, error) { return Drawn{}, broken }, sound, 1, 0, 5)
	if _, err := p.Next(); !errors.Is(err, broken) {
		t.Errorf("draw's error came as %v", err)
	}
	p.Close()

	ctx, cancel := context.WithCancel(t.Context())
	p = NewPrefetcher(ctx, draw, fillFunc(func(uint64, []int, []float32) error { cancel(); return nil }), 1, 0, 1000)
	for range 5 { // some may be ready still
		_, err := p.Next()
		if err == nil {
			continue
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		p.Close()
		return
	}
	t.Error("five batches after the context ended")
	p.Close()
}

// Close waits: after it, nobody reads photos any more.
func TestPrefetcherCloseWaitsForFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		fill := fillFunc(func(uint64, []int, []float32) error { <-hold; return nil })
		p := NewPrefetcher(t.Context(), func() (Drawn, error) { return Drawn{Indices: []int{0}}, nil }, fill, 1, 0, 5)
		synctest.Wait() // Fill hangs
		closed := make(chan struct{})
		go func() {
			p.Close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close came back while a batch was being filled")
		default:
		}
		close(hold)
		<-closed
	})
}
