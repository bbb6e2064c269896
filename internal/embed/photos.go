package embed

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
	"xbmedge/internal/vision"
)

// Set is the embeddings of some photos.
type Set struct {
	retrieval.Embeddings
	Photos []photos.Photo // one for each embedding
}

// Photos embeds the photos of a list with a model, given as the bytes of its file, in the list's order. Photos that
// cannot be decoded are left out and reported; none left is an error. Every processor runs an interpreter of its own,
// on one thread: two threads on one picture only wait for each other.
func Photos(ctx context.Context, model []byte, opt Options, list []photos.Photo) (Set, []photos.Skipped, error) {
	opt.Threads = 1
	workers := make([]*Embedder, min(runtime.GOMAXPROCS(0), max(len(list), 1)))
	defer func() {
		for _, e := range workers {
			if e != nil {
				_ = e.Close() // nothing is lost with a model that was only read
			}
		}
	}()
	for i := range workers {
		e, err := New(model, opt)
		if err != nil {
			return Set{}, nil, err
		}
		workers[i] = e
	}
	return embedAll(ctx, workers, list)
}

// Photos is the function Photos on this embedder alone.
func (e *Embedder) Photos(ctx context.Context, list []photos.Photo) (Set, []photos.Skipped, error) {
	return embedAll(ctx, []*Embedder{e}, list)
}

func embedAll(ctx context.Context, workers []*Embedder, list []photos.Photo) (Set, []photos.Skipped, error) {
	type picture struct {
		i     int
		frame vision.Frame
	}
	dim := workers[0].Dim()
	all := make([]float32, len(list)*dim)
	done := make([]bool, len(list))
	faults := make([]error, len(workers))
	decoded := make(chan picture) // decoding waits while all embedders are busy
	var group sync.WaitGroup
	for w, e := range workers {
		group.Go(func() {
			for p := range decoded {
				if err := e.Embed(all[p.i*dim:(p.i+1)*dim], p.frame); err != nil {
					faults[w] = fmt.Errorf("embed %s: %w", list[p.i].Path, err)
				}
				done[p.i] = true
			}
		})
	}
	skipped, err := photos.Load(ctx, list, 0, func(i int, f vision.Frame) { decoded <- picture{i, f} })
	close(decoded)
	group.Wait()
	if err = errors.Join(append(faults, err)...); err != nil {
		return Set{}, skipped, err
	}
	set := Set{Embeddings: retrieval.Embeddings{Dim: dim}}
	for i, p := range list {
		if done[i] {
			set.Photos = append(set.Photos, p)
			set.Data = append(set.Data, all[i*dim:(i+1)*dim]...)
		}
	}
	return set, skipped, nil
}

// Labels numbers the classes of two sets' photos alike, for retrieval's measures.
func Labels(a, b Set) (la, lb []int) {
	number := map[string]int{}
	of := func(s Set) []int {
		labels := make([]int, len(s.Photos))
		for i, p := range s.Photos {
			label, known := number[p.Class]
			if !known {
				label = len(number)
				number[p.Class] = label
			}
			labels[i] = label
		}
		return labels
	}
	return of(a), of(b)
}
