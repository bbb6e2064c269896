//go:build cgo && tflite

package tflite

import (
	"testing"

	tf "github.com/tphakala/go-tflite"
	tfxnnpack "github.com/tphakala/go-tflite/delegates/xnnpack"
)

// BenchmarkMobileNetV2 compares, for MobileNetV2 1.0 at 224 in int8 on one thread, our XNNPACK delegate with the one
// that go-tflite makes and with the plain kernels.
func BenchmarkMobileNetV2(b *testing.B) {
	model := readModel(b, "mobilenet_v2_ptq.tflite")
	for _, tc := range []struct {
		name string
		opt  Options
	}{{"ours", Options{}}, {"plain", Options{Plain: true}}} {
		b.Run(tc.name, func(b *testing.B) {
			i := open(b, model, tc.opt)
			for b.Loop() {
				if err := i.Invoke(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("go-tflite", func(b *testing.B) {
		m := tf.NewModel(model)
		options := tf.NewInterpreterOptions()
		options.SetNumThread(1)
		options.AddDelegate(tfxnnpack.New(tfxnnpack.DelegateOptions{NumThreads: 1}))
		i := tf.NewInterpreter(m, options)
		if i == nil || i.AllocateTensors() != tf.OK {
			b.Fatal("go-tflite does not open the model")
		}
		defer i.Delete()
		for b.Loop() {
			if i.Invoke() != tf.OK {
				b.Fatal("Invoke")
			}
		}
	})
}
