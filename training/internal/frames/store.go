// Package frames keeps the photos that are trained on ready: decoded, turned upright and reduced to the size needed, in
// memory as far as they fit there and else on disk, in a Cache that also spares the next start the decoding.
package frames

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"

	"xbmedge/internal/photos"
	"xbmedge/internal/vision"
)

// Options say how photos are kept.
type Options struct {
	ShorterSide int    // photos whose shorter side is longer are reduced to this, pixels; 0: none is
	Workers     int    // goroutines that decode; not positive: one for each processor
	Memory      int64  // bytes of pixels held in memory; the rest stays on disk and needs a Cache
	Cache       *Cache // nil: none
	// Progress is told how many photos are done, on several goroutines at once; nil: nobody is.
	Progress func(done int)
}

// ErrMemory is wrapped by Load's error when the photos take more memory than they may and there is no cache.
var ErrMemory = errors.New("the photos do not fit into the memory set aside for them")

// Store is the frames of a list of photos. It may be used by several goroutines.
type Store struct {
	cache  *Cache
	side   int
	decode func(path string) (vision.Frame, error)
	items  []item
}

// item is one photo. Its pixels are nil when they are on disk.
type item struct {
	path string
	key  key
	header
	pix []byte
}

// Report says what Load did.
type Report struct {
	Read     []int            // indices of the photos that are in the Store, ascending
	Skipped  []photos.Skipped // photos that cannot be read
	Decoded  int              // photos decoded anew, not taken from the cache
	OnDisk   int              // photos not held in memory
	Uncached error            // why photos could not be written to the cache, where that is the case
}

// Load reads the photos of a list, from the cache where they are there. Photos that cannot be read are not in the
// Store and are reported; it is an error when none can be, or when ctx is done before all are read.
//
// What is in the Store is the same whatever the cache, the memory and the number of goroutines.
func Load(ctx context.Context, list []photos.Photo, o Options) (*Store, *Report, error) {
	return load(ctx, list, o, vision.DecodeFile)
}

// loading is a Load in progress.
type loading struct {
	Options
	*Store
	done     atomic.Int64
	decoded  atomic.Int64
	held     atomic.Int64 // bytes
	uncached atomic.Pointer[error]
	stop     context.CancelCauseFunc
}

func load(ctx context.Context, list []photos.Photo, o Options, decode func(string) (vision.Frame, error)) (*Store, *Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l := &loading{Options: o, stop: cancel, Store: &Store{
		cache: o.Cache, side: o.ShorterSide, decode: decode, items: make([]item, len(list)),
	}}
	skipped, err := photos.Each(ctx, list, o.Workers, func(i int) error {
		err := l.read(i, list[i].Path)
		if done := l.done.Add(1); o.Progress != nil {
			o.Progress(int(done))
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	r := &Report{Skipped: skipped, Decoded: int(l.decoded.Load())}
	if err := l.uncached.Load(); err != nil {
		r.Uncached = *err
	}
	for i := range l.items {
		if l.items[i].width == 0 {
			continue
		}
		r.Read = append(r.Read, i)
		if l.items[i].pix == nil {
			r.OnDisk++
		}
	}
	return l.Only(r.Read), r, nil
}

// read fills in item i. Its error is about the photo; what concerns all stops the loading.
func (l *loading) read(i int, path string) error {
	it := item{path: path}
	var err error
	if l.Cache != nil {
		if it.key, err = keyOf(path, l.side); err != nil {
			return err
		}
		if l.fromCache(&it) {
			l.Cache.used(it.key)
			l.items[i] = it
			return nil
		}
	}
	frame, err := l.make(path)
	if err != nil {
		return err
	}
	l.decoded.Add(1)
	it.header = describe(frame)
	written := errors.New("there is no cache") // or why it is not in it
	if l.Cache != nil {
		if written = l.Cache.write(it.key, it.header, frame); written != nil {
			l.uncached.CompareAndSwap(nil, &written)
		}
	}
	switch {
	case l.room(it.bytes()):
		it.pix = frame.Pix
	case written != nil:
		err := fmt.Errorf("%w, %d MB: %w", ErrMemory, l.Memory>>20, written)
		l.stop(err)
		return err
	}
	l.items[i] = it
	return nil
}

// fromCache fills in an item from the cache, and reports whether it is there and whole. An entry whose pixels are not
// needed now is trusted by its header; Frame checks it.
func (l *loading) fromCache(it *item) bool {
	h, err := l.Cache.head(it.key)
	if err != nil {
		return false
	}
	it.header = h
	if !l.room(h.bytes()) {
		return true
	}
	if _, it.header, err = l.Cache.read(it.key, &it.pix); err != nil {
		l.held.Add(-int64(h.bytes()))
		it.pix = nil
	}
	return err == nil
}

// room sets memory aside for that many bytes, or reports that there is none.
func (l *loading) room(bytes int) bool {
	if l.held.Add(int64(bytes)) <= l.Memory {
		return true
	}
	l.held.Add(-int64(bytes))
	return false
}

// make decodes and reduces a photo.
func (s *Store) make(path string) (vision.Frame, error) {
	frame, err := s.decode(path)
	if err != nil {
		return vision.Frame{}, err
	}
	return reduced(frame, s.side)
}

// reduced returns the frame with its shorter side that long, or as it is when it is no longer than that.
func reduced(f vision.Frame, shorterSide int) (vision.Frame, error) {
	shorter := min(f.Width, f.Height)
	if shorterSide <= 0 || shorter <= shorterSide {
		return f, nil
	}
	width, height := (f.Width*shorterSide+shorter/2)/shorter, (f.Height*shorterSide+shorter/2)/shorter
	// A preprocessor of its own for each photo: its memory becomes the photo's.
	return vision.NewPreprocessor(width, height).Resize(f)
}

// Len returns the number of photos.
func (s *Store) Len() int { return len(s.items) }

// Frame returns a photo. Its pixels must not be changed, and are valid until buf is used again: a photo that is on disk
// is read into buf, which is given more memory when it has too little. A damaged or deleted cache entry is made anew.
func (s *Store) Frame(i int, buf *[]byte) (vision.Frame, error) {
	if i < 0 || i >= len(s.items) {
		return vision.Frame{}, fmt.Errorf("photo %d is not in 0…%d", i, len(s.items)-1)
	}
	it := &s.items[i]
	if it.pix != nil {
		return vision.Frame{Width: it.width, Height: it.height, Pix: it.pix}, nil
	}
	if frame, h, err := s.cache.read(it.key, buf); err == nil && h == it.header {
		return frame, nil
	}
	frame, err := s.make(it.path)
	if err != nil {
		return vision.Frame{}, err
	}
	if describe(frame) != it.header {
		return vision.Frame{}, fmt.Errorf("%s has changed since the start; put the old photo back, or start anew", it.path)
	}
	_ = s.cache.write(it.key, it.header, frame) // without it the next time takes longer, no more
	return frame, nil
}

// Digest tells photos apart: a SHA-256 of the frame's pixels.
func (s *Store) Digest(i int) [sha256.Size]byte { return s.items[i].digest }

// Size returns the width and height of a photo as it is kept, pixels.
func (s *Store) Size(i int) (width, height int) { return s.items[i].width, s.items[i].height }

// Only returns the Store of the photos with these indices, which shares their memory.
func (s *Store) Only(indices []int) *Store {
	out := &Store{cache: s.cache, side: s.side, decode: s.decode, items: make([]item, len(indices))}
	for to, from := range indices {
		out.items[to] = s.items[from]
	}
	return out
}
