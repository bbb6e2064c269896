package synth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/clip"
	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
	"xbmedge/internal/vision"
)

func small(dir string) Options {
	return Options{
		Dir: dir, Seed: 5, Products: 5, Strangers: 2, TrainViews: 3, TestViews: 2, Size: 48, ClipSegments: 9, SegmentFrames: 4,
	}
}

func generate(t *testing.T, o Options) {
	t.Helper()
	if err := Generate(t.Context(), o, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
}

// hashes returns the SHA-256 of every file under root.
func hashes(t *testing.T, root string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		sum := sha256.Sum256(content)
		sums[name] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

func TestSameSeedSameBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("long with the race detector, and one goroutine: runs without it")
	}
	root := t.TempDir()
	run := func(name string, workers int, seed uint64) map[string]string {
		o := small(filepath.Join(root, name))
		o.Workers, o.Seed = workers, seed
		generate(t, o)
		return hashes(t, o.Dir)
	}
	want := run("one", 1, 5)
	if n := 5*5 + 2*2 + 3; len(want) != n {
		t.Errorf("%d files, want %d", len(want), n)
	}
	if diff := cmp.Diff(want, run("again", 1, 5)); diff != "" {
		t.Errorf("second run: %s", diff)
	}
	if diff := cmp.Diff(want, run("seven", 7, 5)); diff != "" {
		t.Errorf("seven workers: %s", diff)
	}
	if run("other", 2, 6)[ClipFile] == want[ClipFile] {
		t.Error("another seed gives the same clip")
	}
}

func TestFolders(t *testing.T) {
	o := small(filepath.Join(t.TempDir(), "set"))
	generate(t, o)
	var info struct {
		Products []struct {
			Class    string
			Stranger bool
		}
	}
	readJSON(t, filepath.Join(o.Dir, ProductsFile), &info)
	want := map[string]map[string]int{TrainFolder: {}, TestFolder: {}, StrangerFolder: {}}
	for _, p := range info.Products {
		if p.Stranger {
			want[StrangerFolder][p.Class] = 2
		} else {
			want[TrainFolder][p.Class], want[TestFolder][p.Class] = 3, 2
		}
	}
	if len(want[TrainFolder]) != 5 || len(want[StrangerFolder]) != 2 {
		t.Errorf("%d products and %d strangers", len(want[TrainFolder]), len(want[StrangerFolder]))
	}
	for folder, classes := range want {
		list, err := photos.List(filepath.Join(o.Dir, folder))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, p := range list {
			got[p.Class]++
		}
		if diff := cmp.Diff(classes, got); diff != "" {
			t.Errorf("%s: %s", folder, diff)
		}
		skipped, err := photos.Load(t.Context(), list, 0, func(_ int, f vision.Frame) {
			if f.Width != 48 || f.Height != 48 {
				t.Errorf("a photo of %d×%d", f.Width, f.Height)
			}
		})
		if err != nil || len(skipped) > 0 {
			t.Errorf("%s: %v, skipped %v", folder, err, skipped)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(o.Dir))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the data set: %v, %v", entries, err)
	}
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestClip(t *testing.T) {
	o := small(filepath.Join(t.TempDir(), "set"))
	generate(t, o)
	index, err := clip.ReadIndex(filepath.Join(o.Dir, ClipIndexFile))
	if err != nil {
		t.Fatal(err)
	}
	next, kinds := 0, map[string]int{}
	for _, s := range index.Segments {
		if s.First != next || s.Last < s.First {
			t.Errorf("segment %+v does not begin at frame %d", s, next)
		}
		next = s.Last + 1
		kinds[s.Kind]++
		if (s.Class == "") != (s.Kind == clip.Empty) {
			t.Errorf("segment %+v", s)
		}
		folder := map[string]string{clip.Enrolled: TestFolder, clip.Stranger: StrangerFolder, clip.Empty: "."}[s.Kind]
		if _, err := os.Stat(filepath.Join(o.Dir, folder, s.Class)); err != nil {
			t.Error(err)
		}
	}
	if index.Frames != next || index.Width != 640 || index.Height != 360 || index.FPS != 25 || index.Schema != 1 {
		t.Errorf("index says %d frames of %d×%d, segments end at %d", index.Frames, index.Width, index.Height, next)
	}
	if diff := cmp.Diff(map[string]int{clip.Enrolled: 5, clip.Stranger: 2, clip.Empty: 2}, kinds); diff != "" {
		t.Error(diff)
	}
	if index.Segments[0].Kind != clip.Empty {
		t.Error("the clip does not begin with an empty scene")
	}

	film, err := os.ReadFile(filepath.Join(o.Dir, ClipFile))
	if err != nil {
		t.Fatal(err)
	}
	frames := bytes.SplitAfter(film, []byte("\xff\xd9\xff\xd8")) // end of one, start of the next
	if len(frames) != index.Frames {
		t.Fatalf("%d frames, the index says %d", len(frames), index.Frames)
	}
	last := -1.0
	for i, part := range frames {
		part = bytes.TrimSuffix(part, []byte("\xff\xd8"))
		if i > 0 {
			part = append([]byte("\xff\xd8"), part...)
		}
		f, err := vision.DecodeBytes(part)
		if err != nil || f.Width != 640 || f.Height != 360 {
			t.Fatalf("frame %d: %d×%d, %v", i, f.Width, f.Height, err)
		}
		// No two frames are the same, or a watch for a frozen camera would bark.
		sum := 0.0
		for _, p := range f.Pix {
			sum += float64(p)
		}
		if sum == last {
			t.Errorf("frame %d is the one before", i)
		}
		last = sum
	}
}

func TestProductsLookDifferent(t *testing.T) {
	for _, n := range []int{2, 48, maxProducts} {
		for seed := range uint64(30) {
			list, err := newProducts(rand.New(rand.NewPCG(seed, 0)), n-n/6, n/6)
			if err != nil {
				t.Fatal(err)
			}
			classes := map[string]bool{}
			for i, p := range list {
				if classes[p.class] || p.class == "" {
					t.Errorf("class %q twice", p.class)
				}
				classes[p.class] = true
				if slices.ContainsFunc(list[:i], p.tooLike) {
					t.Errorf("seed %d: product %d looks like one before", seed, i)
				}
				twin := func(o product) bool {
					return !o.stranger && o.palette.name == p.palette.name && o.shape == p.shape
				}
				if n == 48 && p.stranger && slices.ContainsFunc(list, twin) {
					t.Errorf("seed %d: stranger %d has the colours and the shape of a product", seed, i)
				}
				if p.stranger != (i >= n-n/6) {
					t.Errorf("product %d: stranger %v", i, p.stranger)
				}
			}
		}
	}
}

// The set has to be learnt: neither the mean colour nor a thumbnail may give the products away, yet a thumbnail has to
// show more than chance, or nothing could be learnt.
func TestNotTrivialButNotNoise(t *testing.T) {
	o := DefaultOptions(filepath.Join(t.TempDir(), "set"))
	o.Strangers, o.TrainViews, o.TestViews, o.Size, o.ClipSegments = 0, 8, 3, 64, 0
	generate(t, o)
	for _, tc := range []struct {
		name      string
		side      int
		low, high float64
	}{{"mean colour", 1, 0.03, 0.5}, {"thumbnail of 8×8", 8, 0.2, 0.9}} {
		train, trainLabels := thumbnails(t, filepath.Join(o.Dir, TrainFolder), tc.side)
		test, testLabels := thumbnails(t, filepath.Join(o.Dir, TestFolder), tc.side)
		found, err := retrieval.Evaluate(t.Context(), test, testLabels, train, trainLabels, retrieval.Options{})
		if err != nil {
			t.Fatal(err)
		}
		recall := found.Recall[0]
		t.Logf("nearest neighbour by %s: recall@1 %.3f", tc.name, recall)
		if recall < tc.low || recall > tc.high {
			t.Errorf("nearest neighbour by %s: recall@1 %.3f, want %v to %v", tc.name, recall, tc.low, tc.high)
		}
	}
}

// thumbnails reduces the photos to side×side. Lengthened by one number the vectors order by dot product as by distance:
// the gallery needs −|x|²/2 there and the queries 1, so it returns them with both, each against the other's nought.
func thumbnails(t *testing.T, root string, side int) (retrieval.Embeddings, []int) {
	t.Helper()
	list, err := photos.List(root)
	if err != nil {
		t.Fatal(err)
	}
	query := filepath.Base(root) == TestFolder
	dim := 3*side*side + 1
	e := retrieval.Embeddings{Dim: dim, Data: make([]float32, dim*len(list))}
	labels, class := make([]int, len(list)), map[string]int{}
	for i, p := range list {
		if _, known := class[p.Class]; !known {
			class[p.Class] = len(class)
		}
		labels[i] = class[p.Class]
	}
	small := vision.NewPreprocessor(side, side)
	_, err = photos.Load(t.Context(), list, 0, func(i int, f vision.Frame) {
		thumb, err := small.Resize(f)
		if err != nil {
			t.Error(err)
			return
		}
		row, sum := e.Row(i), float32(0)
		for j, p := range thumb.Pix {
			row[j] = float32(p)/127.5 - 1
			sum += row[j] * row[j]
		}
		if row[dim-1] = -sum / 2; query {
			row[dim-1] = 1
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return e, labels
}

func TestNothingOfTheUsersIsOverwritten(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	dir := filepath.Join(t.TempDir(), "holiday")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	o := small(dir)
	o.ClipSegments = 0
	generate(t, o) // an empty folder is free
	before := hashes(t, dir)
	if err := Generate(t.Context(), o, log); err == nil {
		t.Error("an older data set was replaced without being asked")
	}
	if diff := cmp.Diff(before, hashes(t, dir)); diff != "" {
		t.Error(diff)
	}
	o.Replace, o.Products = true, 4
	generate(t, o)
	if n := len(hashes(t, dir)); n != 4*5+2*2+1 {
		t.Errorf("%d files after replacing", n)
	}
	if err := os.Remove(filepath.Join(dir, ProductsFile)); err != nil {
		t.Fatal(err)
	}
	if err := Generate(t.Context(), o, log); err == nil {
		t.Error("a folder that is not a data set was replaced")
	}
	o.Dir = filepath.Join(dir, TrainFolder, "file")
	if err := os.WriteFile(o.Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Generate(t.Context(), o, log); err == nil {
		t.Error("a file was replaced by a folder")
	}
}

func TestCancelledRunLeavesNothing(t *testing.T) {
	root := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := Generate(ctx, small(filepath.Join(root, "set")), slog.New(slog.DiscardHandler))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestOptionsValidate(t *testing.T) {
	if err := DefaultOptions("x").Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
	for name, change := range map[string]func(*Options){
		"no folder":          func(o *Options) { o.Dir = "" },
		"one product":        func(o *Options) { o.Products = 1 },
		"too many":           func(o *Options) { o.Products, o.Strangers = 70, 10 },
		"negative strangers": func(o *Options) { o.Strangers = -1 },
		"one view":           func(o *Options) { o.TrainViews = 1 },
		"tiny":               func(o *Options) { o.Size = 8 },
		"short segments":     func(o *Options) { o.SegmentFrames = 1 },
	} {
		o := DefaultOptions("x")
		change(&o)
		if o.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
