package vision

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// noise returns a frame of random pixels, the worst case for every codec and the sharpest one for a filter.
func noise(width, height int, seed uint64) Frame {
	f := NewFrame(width, height)
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range f.Pix {
		f.Pix[i] = byte(rng.Uint32())
	}
	return f
}

func BenchmarkResize(b *testing.B) {
	for _, size := range [][2]int{{640, 480}, {640, 360}, {1920, 1080}, {128, 128}} {
		b.Run(fmt.Sprintf("%dx%d-224", size[0], size[1]), func(b *testing.B) {
			f, p := noise(size[0], size[1], 1), NewPreprocessor(224, 224)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Resize(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkInput(b *testing.B) {
	f := noise(224, 224, 1)
	b.Run("int8", func(b *testing.B) {
		dst := make([]int8, len(f.Pix))
		for b.Loop() {
			if err := Int8(dst, f); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("float32", func(b *testing.B) {
		dst := make([]float32, len(f.Pix))
		for b.Loop() {
			if err := Float32(dst, f); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecodeJPEG640x360(b *testing.B) {
	p := NewPreprocessor(640, 360)
	smooth, err := p.Resize(noise(80, 45, 1))
	if err != nil {
		b.Fatal(err)
	}
	var file bytes.Buffer
	if err := EncodeJPEG(&file, smooth, 85); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeBytes(file.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
}
