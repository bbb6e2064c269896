package quantize

import (
	"math/rand/v2"
	"testing"

	"xbmedge/internal/embed"
	"xbmedge/internal/nn"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
)

// BenchmarkBackbones embeds a picture of 224×224 with each published network at width 1, in float and in int8, on one
// thread. Fresh weights do: none of the kernels looks at them.
func BenchmarkBackbones(b *testing.B) {
	if err := tflite.Available(); err != nil {
		b.Skip(err)
	}
	for _, name := range nn.Backbones() {
		if name == "smallcnn" {
			continue // not published
		}
		b.Run(name, func(b *testing.B) {
			float, int8s := benchmarkModels(b, name)
			b.Run("float", func(b *testing.B) { benchmarkEmbed(b, float) })
			b.Run("int8", func(b *testing.B) { benchmarkEmbed(b, int8s) })
		})
	}
}

func benchmarkModels(b *testing.B, name string) (float, int8s []byte) {
	net, err := nn.Backbone(name, 1, 224, nil)
	if err != nil {
		b.Fatal(err)
	}
	net = net.WithEmbedding(128)
	w, err := net.Init(rand.New(rand.NewPCG(7, 8)))
	if err != nil {
		b.Fatal(err)
	}
	if net, w, err = nn.Fold(net, w); err != nil {
		b.Fatal(err)
	}
	cal, err := Calibrate(b.Context(), net, w, randomFrames(3, 224, 1))
	if err != nil {
		b.Fatal(err)
	}
	m, err := tflitefile.FromNetwork(net, w, tflitefile.Options{})
	if err != nil {
		b.Fatal(err)
	}
	q, _, err := Quantize(net, w, cal, Options{})
	if err != nil {
		b.Fatal(err)
	}
	var files [2][]byte
	for i, model := range []*tflitefile.Model{m, q} {
		if files[i], err = tflitefile.Encode(model); err != nil {
			b.Fatal(err)
		}
	}
	return files[0], files[1]
}

func benchmarkEmbed(b *testing.B, model []byte) {
	e, err := embed.New(model, embed.Options{})
	if err != nil {
		b.Fatal(err)
	}
	frame, out := randomFrames(1, 224, 2)[0], make([]float32, e.Dim())
	for b.Loop() {
		if err := e.Embed(out, frame); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(model))/(1<<20), "MB")
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}
