package embed

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"xbmedge/internal/photos"
	"xbmedge/internal/vision"
)

// Each embeds the photos of a list with a model, given as the bytes of its file, and hands every embedding to use: in the
// list's order, one at a time, on the caller's goroutine. Use may keep the vector, which is nil for a photo that cannot
// be read; the error then says why and names the file. An error of use, of the model or of ctx ends it all.
//
// Every processor runs an interpreter of its own, on one thread: two threads on one picture only wait for each other.
// Only a few photos and embeddings are held at once, however long the list.
func Each(ctx context.Context, model []byte, opt Options, list []photos.Photo, use func(i int, v []float32, unreadable error) error) error {
	opt.Threads = 1
	embedders := make([]*Embedder, min(runtime.GOMAXPROCS(0), max(len(list), 1)))
	defer func() {
		for _, e := range embedders {
			if e != nil {
				_ = e.Close() // nothing is lost with a model that was only read
			}
		}
	}()
	for i := range embedders {
		e, err := New(model, opt)
		if err != nil {
			return err
		}
		embedders[i] = e
	}
	return each(ctx, embedders, list, use)
}

// outcome is what became of a photo.
type outcome struct {
	vector            []float32
	unreadable, fault error
}

// job is a photo that is being worked on. Its outcome waits in the channel, which has room for it.
type job struct {
	i    int
	done chan outcome
}

// each decodes on all processors and takes an embedder for as long as the embedding lasts.
func each(ctx context.Context, embedders []*Embedder, list []photos.Photo, use func(i int, v []float32, unreadable error) error) error {
	ctx, cancel := context.WithCancel(ctx)
	workers := min(runtime.GOMAXPROCS(0), max(len(list), 1))
	// A slow photo holds up at most that many others, which are done but not yet handed on.
	inOrder := make(chan job, 4*workers)
	jobs := make(chan job)
	free := make(chan *Embedder, len(embedders))
	for _, e := range embedders {
		free <- e
	}
	var group sync.WaitGroup
	defer group.Wait() // after cancel
	defer cancel()
	group.Go(func() {
		defer close(inOrder)
		defer close(jobs)
		for i := range list {
			j := job{i, make(chan outcome, 1)}
			for _, to := range []chan job{inOrder, jobs} {
				select {
				case to <- j:
				case <-ctx.Done():
					return
				}
			}
		}
	})
	for range workers {
		group.Go(func() {
			for j := range jobs {
				j.done <- embedFile(free, list[j.i].Path)
			}
		})
	}
	for j := range inOrder {
		var o outcome
		select {
		case o = <-j.done:
		case <-ctx.Done():
			return stopped(ctx)
		}
		if o.fault != nil {
			return o.fault
		}
		if err := use(j.i, o.vector, o.unreadable); err != nil {
			return err
		}
	}
	return stopped(ctx)
}

// stopped returns nil when all photos were handed on.
func stopped(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("embed photos: stopped before all were done: %w", err)
	}
	return nil
}

func embedFile(free chan *Embedder, path string) outcome {
	frame, err := vision.DecodeFile(path)
	if err != nil {
		return outcome{unreadable: err}
	}
	e := <-free
	defer func() { free <- e }()
	v := make([]float32, e.Dim())
	if err := e.Embed(v, frame); err != nil {
		return outcome{fault: fmt.Errorf("embed %s: %w", path, err)}
	}
	return outcome{vector: v}
}
