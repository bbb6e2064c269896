package frames

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/photos"
	"xbmedge/internal/vision"
)

// pictures writes n noisy pictures of 30×20 pixels, and one that is broken when broken is set, and lists them.
func pictures(t *testing.T, n int, broken bool) []photos.Photo {
	t.Helper()
	root := t.TempDir()
	rng := rand.New(rand.NewPCG(3, 3))
	for i := range n {
		f := vision.NewFrame(30, 20)
		for j := range f.Pix {
			f.Pix[j] = byte(rng.Uint32())
		}
		put(t, filepath.Join(root, strconv.Itoa(i)+".png"), f)
	}
	if broken {
		if err := os.WriteFile(filepath.Join(root, "broken.png"), []byte("no picture"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := photos.List(root)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func put(t *testing.T, path string, f vision.Frame) {
	t.Helper()
	var b bytes.Buffer
	if err := vision.EncodePNG(&b, f); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// counter counts the pictures decoded.
type counter struct{ n atomic.Int64 }

func (c *counter) decode(path string) (vision.Frame, error) {
	c.n.Add(1)
	return vision.DecodeFile(path)
}

func openCache(t *testing.T, folder string, limit int64) *Cache {
	t.Helper()
	c, err := OpenCache(folder, limit)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// all reads every frame of a store.
func all(t *testing.T, s *Store) []vision.Frame {
	t.Helper()
	out := make([]vision.Frame, s.Len())
	var buf []byte
	for i := range out {
		f, err := s.Frame(i, &buf)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = vision.Frame{Width: f.Width, Height: f.Height, Pix: bytes.Clone(f.Pix)}
	}
	return out
}

// What is in the store does not depend on where the photos are kept, nor on the number of goroutines.
func TestStoreIsTheSameWhereverPhotosAreKept(t *testing.T) {
	list := pictures(t, 9, true)
	plain, report, err := Load(t.Context(), list, Options{ShorterSide: 10, Workers: 1, Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if report.Decoded != 9 || report.OnDisk != 0 || len(report.Skipped) != 1 || len(report.Read) != 9 {
		t.Errorf("report %+v", report)
	}
	want := all(t, plain)
	if want[0].Width != 15 || want[0].Height != 10 {
		t.Errorf("reduced to %d×%d, want 15×10", want[0].Width, want[0].Height)
	}
	folder := t.TempDir()
	const bytes = 3 * 15 * 10
	for _, tc := range []struct {
		name            string
		workers         int
		memory          int64
		decoded, onDisk int
	}{
		{"first start, all in memory", 2, 1 << 20, 9, 0},
		{"second start, all in memory", 3, 1 << 20, 0, 0},
		{"two in memory", 5, 2 * bytes, 0, 7},
		{"none in memory", 2, 0, 0, 9},
	} {
		var count counter
		var told atomic.Int64
		o := Options{ShorterSide: 10, Workers: tc.workers, Memory: tc.memory, Cache: openCache(t, folder, 0)}
		o.Progress = func(done int) { told.Add(int64(done)) }
		store, report, err := load(t.Context(), list, o, count.decode)
		if err != nil {
			t.Fatal(err)
		}
		if got := count.n.Load(); report.Decoded != tc.decoded || got != int64(tc.decoded)+1 { // the broken one is tried
			t.Errorf("%s: decoded %d, called %d times, want %d", tc.name, report.Decoded, got, tc.decoded)
		}
		if told.Load() != 10*11/2 { // 1 to 10
			t.Errorf("%s: progress was told %d in all, want 55", tc.name, told.Load())
		}
		if report.OnDisk != tc.onDisk {
			t.Errorf("%s: %d on disk, want %d", tc.name, report.OnDisk, tc.onDisk)
		}
		if diff := cmp.Diff(want, all(t, store)); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
		for i := range want {
			if store.Digest(i) != plain.Digest(i) {
				t.Errorf("%s: photo %d has another digest", tc.name, i)
			}
		}
	}
}

// entries returns the files of a cache.
func entries(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "??", "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Whatever a kill, a full disk or a bad one leaves of an entry, it is noticed and made anew.
func TestDamagedEntriesAreMadeAnew(t *testing.T) {
	list := pictures(t, 3, false)
	folder := t.TempDir()
	o := Options{ShorterSide: 10, Memory: 1 << 20, Cache: openCache(t, folder, 0)}
	first, _, err := Load(t.Context(), list, o)
	if err != nil {
		t.Fatal(err)
	}
	want := all(t, first)
	sound := map[string][]byte{}
	for _, path := range entries(t, folder) {
		if sound[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if len(sound) != len(list) {
		t.Fatalf("%d entries, want %d", len(sound), len(list))
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[(at+len(b))%len(b)] ^= 4; return b }
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"empty":            func([]byte) []byte { return nil },
		"half a header":    func(b []byte) []byte { return b[:headerSize/2] },
		"header alone":     func(b []byte) []byte { return b[:headerSize] },
		"cut short":        func(b []byte) []byte { return b[:len(b)-1] },
		"too long":         func(b []byte) []byte { return append(b, 0) },
		"zeros":            func(b []byte) []byte { return make([]byte, len(b)) },
		"pixels of zeros":  func(b []byte) []byte { return append(b[:headerSize:headerSize], make([]byte, len(b)-headerSize)...) },
		"a pixel garbled":  flip(-5),
		"magic garbled":    flip(0),
		"version garbled":  flip(len(magic)),
		"width garbled":    flip(len(magic) + 4),
		"digest garbled":   flip(len(magic) + 20),
		"checksum garbled": flip(headerSize - 1),
	} {
		for _, memory := range []int64{3 * 3 * 15 * 10, 0} { // found when loaded into just enough memory, found when read
			for path, content := range sound {
				if err := os.WriteFile(path, spoil(bytes.Clone(content)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var count counter
			o.Memory = memory
			store, report, err := load(t.Context(), list, o, count.decode)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if memory > 0 && report.OnDisk > 0 {
				t.Errorf("%s: %d photos on disk, though there is memory for all", name, report.OnDisk)
			}
			if diff := cmp.Diff(want, all(t, store)); diff != "" {
				t.Errorf("%s, memory %d: %s", name, memory, diff)
			}
			if count.n.Load() != int64(len(list)) {
				t.Errorf("%s, memory %d: %d photos decoded, want all %d", name, memory, count.n.Load(), len(list))
			}
			for path, content := range sound {
				if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, content) {
					t.Errorf("%s, memory %d: the entry was not mended (%v)", name, memory, err)
				}
			}
		}
	}
}

func TestChangedPhotosAreDecodedAgain(t *testing.T) {
	list := pictures(t, 3, false)
	o := Options{ShorterSide: 10, Memory: 0, Cache: openCache(t, t.TempDir(), 0)}
	store, _, err := Load(t.Context(), list, o)
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(list[1].Path, later, later); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		what string
		side int
		want int64
	}{{"one has a new time", 10, 1}, {"nothing", 10, 0}, {"another size is wanted", 12, 3}} {
		var count counter
		o.ShorterSide = step.side
		if _, _, err := load(t.Context(), list, o, count.decode); err != nil {
			t.Fatal(err)
		}
		if got := count.n.Load(); got != step.want {
			t.Errorf("%s: %d decoded, want %d", step.what, got, step.want)
		}
	}
	// While a run goes on, a photo that has changed must not slip in, neither through an entry somebody else made of it
	// nor when it is decoded again.
	other := vision.NewFrame(15, 10)
	if err := o.Cache.write(store.items[2].key, describe(other), other); err != nil {
		t.Fatal(err)
	}
	var scratch []byte
	if f, err := store.Frame(2, &scratch); err != nil || describe(f) != store.items[2].header {
		t.Errorf("another photo's entry was taken (%v)", err)
	}
	put(t, list[0].Path, vision.NewFrame(30, 20))
	if err := os.RemoveAll(o.Cache.Folder()); err != nil {
		t.Fatal(err)
	}
	var buf []byte
	if _, err := store.Frame(0, &buf); err == nil || !strings.Contains(err.Error(), "has changed since the start") {
		t.Errorf("a changed photo: %v", err)
	}
	if _, err := store.Frame(1, &buf); err != nil {
		t.Errorf("without the cache's folder: %v", err)
	}
	if _, err := store.Frame(3, &buf); err == nil {
		t.Error("a photo that does not exist was returned")
	}
}

func TestMemoryWithoutCacheIsTheLimit(t *testing.T) {
	list := pictures(t, 4, false)
	const bytes = 3 * 15 * 10
	if _, _, err := Load(t.Context(), list, Options{ShorterSide: 10, Memory: 4 * bytes}); err != nil {
		t.Errorf("just enough: %v", err)
	}
	if _, _, err := Load(t.Context(), list, Options{ShorterSide: 10, Memory: 4*bytes - 1}); !errors.Is(err, ErrMemory) {
		t.Errorf("a byte too little: %v", err)
	}
	// A cache that cannot be written is no help; the photos that fit into memory do without.
	cache := openCache(t, t.TempDir(), 0)
	if err := os.RemoveAll(cache.Folder()); err != nil {
		t.Fatal(err)
	}
	o := Options{ShorterSide: 10, Memory: 4 * bytes, Cache: cache}
	if _, report, err := Load(t.Context(), list, o); err != nil || !errors.Is(report.Uncached, os.ErrNotExist) {
		t.Errorf("no folder, enough memory: %v, %+v", err, report)
	}
	o.Memory = bytes
	if _, _, err := Load(t.Context(), list, o); !errors.Is(err, ErrMemory) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder, too little memory: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Load(ctx, list, Options{Memory: 1 << 20}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestCacheLimitAndLeftovers(t *testing.T) {
	list := pictures(t, 12, false)
	folder := t.TempDir()
	o := Options{ShorterSide: 10, Memory: 1 << 20, Cache: openCache(t, folder, 0)}
	if _, _, err := Load(t.Context(), list, o); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-time.Hour * 24)
	for _, path := range entries(t, folder) {
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := Load(t.Context(), list[:2], o); err != nil { // these are needed still
		t.Fatal(err)
	}
	foreign := filepath.Join(folder, "keep.txt")
	old, young := filepath.Join(folder, unfinished, "1"+suffix), filepath.Join(folder, unfinished, "2"+suffix)
	for _, path := range []string{foreign, old, young} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	o.Cache = openCache(t, folder, int64(2*(headerSize+3*15*10)))
	if left := entries(t, folder); len(left) != 2 {
		t.Errorf("%d entries are left, want 2", len(left))
	}
	var count counter
	if _, _, err := load(t.Context(), list[:2], o, count.decode); err != nil || count.n.Load() != 0 {
		t.Errorf("entries in use were removed: %d decoded, %v", count.n.Load(), err)
	}
	for path, want := range map[string]bool{foreign: true, young: true, old: false} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
	if _, err := OpenCache(foreign, 0); err == nil || !strings.Contains(err.Error(), foreign) {
		t.Errorf("a file as folder: %v", err)
	}
}

func TestFrameAllocatesNothing(t *testing.T) {
	list := pictures(t, 2, false)
	store, _, err := Load(t.Context(), list, Options{ShorterSide: 10, Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var buf []byte
	if n := testing.AllocsPerRun(20, func() {
		if _, err := store.Frame(1, &buf); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%g allocations for a frame in memory", n)
	}
}

// Entries of another decoder or filter must not be taken for one's own: when this digest changes, so must version.
func TestVersionGoesWithHowPhotosAreMade(t *testing.T) {
	f := vision.NewFrame(64, 48)
	rng := rand.New(rand.NewPCG(5, 5))
	for i := range f.Pix {
		f.Pix[i] = byte(i/9 + rng.IntN(40))
	}
	var b bytes.Buffer
	if err := vision.EncodeJPEG(&b, f, 90); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "photo.jpg")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	store, _, err := Load(t.Context(), []photos.Photo{{Path: path}}, Options{ShorterSide: 20, Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	digest := store.Digest(0)
	const want = "version 1: 55e4cfe37b72c2ea"
	if got := fmt.Sprintf("version %d: %x", version, digest[:8]); got != want {
		t.Errorf("made with %s, want %s; raise version and put the new line here", got, want)
	}
}
