package dataset

import (
	"runtime"
	"testing"

	"xbmedge/internal/testdata"
	"xbmedge/internal/vision"
	"xbmedge/training/internal/frames"
)

// The benchmarks below make batches of real photos, at the sizes of ResNet's and MobileNet's input.
const (
	benchSize  = 224
	benchSide  = 280 // photos are kept a quarter larger than the input
	benchBatch = 32
)

func benchSet(b *testing.B) *Dataset {
	d, err := OpenTrain(testdata.Dir(b, "grocery"))
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func benchAugment() Augment {
	a := mixture()
	a.CropScaleMin, a.CropAspect, a.Flip = 0.2, 4./3, 0.5
	return a
}

// report tells the speed of what was measured.
func report(b *testing.B) {
	b.ReportMetric(float64(b.N*benchBatch)/b.Elapsed().Seconds(), "photos/s")
}

// BenchmarkPlainLoop decodes, reduces and varies one photo after another, a batch each time.
func BenchmarkPlainLoop(b *testing.B) {
	d := benchSet(b)
	augmenter, err := NewAugmenter(benchAugment(), benchSize, benchSize)
	if err != nil {
		b.Fatal(err)
	}
	sampler, err := NewPKSampler(d.Labels, 8, 4, 1)
	if err != nil {
		b.Fatal(err)
	}
	dst := make([]float32, 3*benchSize*benchSize)
	var out vision.Frame
	for step := uint64(0); b.Loop(); step++ {
		for place, i := range sampler.Next() {
			frame, err := vision.DecodeFile(d.Photos[i].Path)
			if err != nil {
				b.Fatal(err)
			}
			if side := min(frame.Width, frame.Height); side > benchSide {
				small := vision.NewPreprocessor(frame.Width*benchSide/side, frame.Height*benchSide/side)
				if frame, err = small.Resize(frame); err != nil {
					b.Fatal(err)
				}
			}
			if err := augmenter.Apply(Rand(1, step, uint64(place)), frame, &out); err != nil {
				b.Fatal(err)
			}
			if err := vision.Float32(dst, out); err != nil {
				b.Fatal(err)
			}
		}
	}
	report(b)
}

// BenchmarkLoad makes the same batches as the trainer does, of photos in memory and of photos in the cache on disk.
func BenchmarkLoad(b *testing.B) {
	d := benchSet(b)
	cache, err := frames.OpenCache(b.TempDir(), 0)
	if err != nil {
		b.Fatal(err)
	}
	for _, where := range []struct {
		name   string
		memory int64
	}{{"memory", 1 << 40}, {"disk", 0}} {
		b.Run(where.name, func(b *testing.B) {
			loaded, store, _, err := d.Load(b.Context(), frames.Options{ShorterSide: benchSide, Memory: where.memory, Cache: cache})
			if err != nil {
				b.Fatal(err)
			}
			sampler, err := NewPKSampler(loaded.Labels, 8, 4, 1)
			if err != nil {
				b.Fatal(err)
			}
			batcher, err := NewBatcher(store, benchAugment(), benchSize, benchSize, runtime.GOMAXPROCS(0), 1)
			if err != nil {
				b.Fatal(err)
			}
			p := NewPrefetcher(b.Context(), drawFrom(sampler), batcher, 3*benchSize*benchSize, 0, 1<<40)
			defer p.Close()
			for b.Loop() {
				if _, err := p.Next(); err != nil {
					b.Fatal(err)
				}
			}
			report(b)
		})
	}
}

// BenchmarkStart reads all photos: the first start decodes them, the second finds them in the cache.
func BenchmarkStart(b *testing.B) {
	d := benchSet(b)
	cache, err := frames.OpenCache(b.TempDir(), 0)
	if err != nil {
		b.Fatal(err)
	}
	for _, start := range []struct {
		name  string
		cache *frames.Cache
	}{{"decoding", nil}, {"cached", cache}} {
		o := frames.Options{ShorterSide: benchSide, Memory: 1 << 40, Cache: start.cache}
		if _, _, _, err := d.Load(b.Context(), o); err != nil {
			b.Fatal(err)
		}
		b.Run(start.name, func(b *testing.B) {
			for b.Loop() {
				if _, _, _, err := d.Load(b.Context(), o); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(d.Photos))/b.Elapsed().Seconds(), "photos/s")
		})
	}
}
