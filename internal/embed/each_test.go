package embed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/photos"
	"xbmedge/internal/tflite"
	"xbmedge/internal/vision"
)

// shades writes n photos that grow brighter in red against green, and text in place of every broken one.
func shades(t *testing.T, n int, broken ...int) []photos.Photo {
	t.Helper()
	dir := t.TempDir()
	var list []photos.Photo
	for i := range n {
		var b bytes.Buffer
		if slices.Contains(broken, i) {
			b.WriteString("no picture")
		} else if err := vision.EncodePNG(&b, plain(8, 8, byte(i+1), byte(255-i), 0)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprintf("%03d.png", i))
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		list = append(list, photos.Photo{Path: path})
	}
	return list
}

func needTFLite(t *testing.T) {
	t.Helper()
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
}

func TestEachKeepsTheOrder(t *testing.T) {
	needTFLite(t)
	list := shades(t, 100, 3, 50, 51)
	next, red, unreadable := 0, float32(-1), []int(nil)
	err := Each(t.Context(), brightness(t, 8), Options{}, list, func(i int, v []float32, err error) error {
		if i != next {
			t.Errorf("photo %d after %d", i, next-1)
		}
		next = i + 1
		if err != nil {
			if v != nil || !strings.Contains(err.Error(), list[i].Path) {
				t.Errorf("photo %d: %v, %v", i, v, err)
			}
			unreadable = append(unreadable, i)
			return nil
		}
		if len(v) != 3 || v[0] <= red {
			t.Errorf("photo %d has %v, the one before had %g red", i, v, red)
			return nil
		}
		red = v[0]
		return nil
	})
	if err != nil || next != len(list) {
		t.Errorf("ended before %d: %v", next, err)
	}
	if diff := cmp.Diff([]int{3, 50, 51}, unreadable); diff != "" {
		t.Error(diff)
	}
}

func TestEachStops(t *testing.T) {
	needTFLite(t)
	list := shades(t, 60)
	full := errors.New("the disk is full")
	calls := 0
	err := Each(t.Context(), brightness(t, 8), Options{}, list, func(i int, _ []float32, _ error) error {
		if calls++; i == 7 {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) || calls != 8 {
		t.Errorf("%v after %d calls", err, calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls = 0
	err = Each(ctx, brightness(t, 8), Options{}, list, func(int, []float32, error) error {
		calls++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || calls == len(list) {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestPhotos(t *testing.T) {
	needTFLite(t)
	list := shades(t, 5, 1)
	var heard []int
	opt := Options{Progress: func(done, total int) { heard = append(heard, done*10+total) }}
	set, skipped, err := Photos(t.Context(), brightness(t, 8), opt, list)
	if err != nil || set.Len() != 4 || len(skipped) != 1 || skipped[0].Path != list[1].Path {
		t.Fatalf("%d embedded, %+v, %v", set.Len(), skipped, err)
	}
	if diff := cmp.Diff(slices.Concat(list[:1], list[2:]), set.Photos); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{15, 25, 35, 45, 55}, heard); diff != "" {
		t.Error(diff)
	}
	alone, _, err := newEmbedder(t, brightness(t, 8)).Photos(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(set, alone); diff != "" {
		t.Errorf("one embedder gives something else: %s", diff)
	}
	if _, skipped, err := Photos(t.Context(), brightness(t, 8), Options{}, shades(t, 2, 0, 1)); err == nil || len(skipped) != 2 {
		t.Errorf("nothing readable: %v, %v", skipped, err)
	}
}
