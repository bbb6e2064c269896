package report

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"xbmedge/internal/embed"
	"xbmedge/internal/photos"
	"xbmedge/internal/vision"
)

// embedAll returns, for each model, the embedding of every photo, nil for photos that cannot be read. One thread a
// model and one worker a processor: threads inside a model wait for one another wherever a processor is busy.
func embedAll(ctx context.Context, models [][]byte, all []photos.Photo) (vectors [][][]float32, skipped []string, err error) {
	vectors = make([][][]float32, len(models))
	for m := range vectors {
		vectors[m] = make([][]float32, len(all))
	}
	unreadable := make([]error, len(all))
	workers := min(runtime.GOMAXPROCS(0), len(all))
	errs := make([]error, workers)
	var next atomic.Int64
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			errs[w] = worker(ctx, models, func() int { return int(next.Add(1)) - 1 }, all, vectors, unreadable)
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	for _, err := range unreadable {
		if err != nil {
			skipped = append(skipped, err.Error())
		}
	}
	if len(all) > 0 && len(skipped) == len(all) {
		return nil, nil, fmt.Errorf("none of the %d photos can be read, the first because: %w", len(all), unreadable[0])
	}
	return vectors, skipped, nil
}

func worker(ctx context.Context, models [][]byte, next func() int, all []photos.Photo, vectors [][][]float32, unreadable []error) (err error) {
	var embedders []*embed.Embedder
	defer func() {
		for _, e := range embedders {
			err = errors.Join(err, e.Close())
		}
	}()
	for _, model := range models {
		e, err := embed.New(model, embed.Options{})
		if err != nil {
			return err
		}
		embedders = append(embedders, e)
	}
	for i := next(); i < len(all); i = next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		frame, err := vision.DecodeFile(all[i].Path)
		if err != nil {
			unreadable[i] = err
			continue
		}
		for m, e := range embedders {
			v := make([]float32, e.Dim())
			if err := e.Embed(v, frame); err != nil {
				return fmt.Errorf("%s: %w", all[i].Path, err)
			}
			vectors[m][i] = v
		}
	}
	return nil
}
