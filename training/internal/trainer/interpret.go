package trainer

import (
	"context"
	"math"
	"sync"

	"xbmedge/internal/tflite"
)

// work makes what a worker does with its interpreter for input i. Workers share nothing of it but what it was made of.
type work func() func(interpreter *tflite.Interpreter, i int) error

// runAll runs a model once for each of n inputs, on several interpreters at once. Progress is called from several
// goroutines and gets the number done.
func runAll(ctx context.Context, file []byte, n, workers int, each work, progress func(n int)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var group sync.WaitGroup
	var mu sync.Mutex
	finished := 0
	for range min(workers, n) {
		group.Go(func() {
			interpreter, err := tflite.Open(file, tflite.Options{Threads: 1})
			if err != nil {
				cancel(err)
				return
			}
			defer func() {
				if err := interpreter.Close(); err != nil {
					cancel(err)
				}
			}()
			one := each()
			for i := range next {
				if err := one(interpreter, i); err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				finished++
				progress(finished)
				mu.Unlock()
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	group.Wait()
	return context.Cause(ctx)
}

// inFloat is the work of a float model. Fill and keep are called from several goroutines, keep never twice for one i.
func inFloat(fill func(i int, dst []float32) error, keep func(i int, y []float32)) work {
	return func() func(*tflite.Interpreter, int) error {
		return func(interpreter *tflite.Interpreter, i int) error {
			in, err := interpreter.InputFloat32(0)
			if err != nil {
				return err
			}
			if err := fill(i, in); err != nil {
				return err
			}
			if err := interpreter.Invoke(); err != nil {
				return err
			}
			out, err := interpreter.OutputFloat32(0)
			if err != nil {
				return err
			}
			keep(i, out)
			return nil
		}
	}
}

// inInt8 is the work of an int8 model of pictures, which fill gives as pixel/127.5−1; they are rounded to whole pixels, as
// a camera's are.
func inInt8(fill func(i int, dst []float32) error, keep func(i int, y []int8)) work {
	return func() func(*tflite.Interpreter, int) error {
		var x []float32
		return func(interpreter *tflite.Interpreter, i int) error {
			in, err := interpreter.InputInt8(0)
			if err != nil {
				return err
			}
			if x == nil {
				x = make([]float32, len(in))
			}
			if err := fill(i, x); err != nil {
				return err
			}
			for k, v := range x {
				in[k] = int8(int(pixel(v)) - 128)
			}
			if err := interpreter.Invoke(); err != nil {
				return err
			}
			out, err := interpreter.OutputInt8(0)
			if err != nil {
				return err
			}
			keep(i, out)
			return nil
		}
	}
}

// pixel returns the pixel that stands as x/127.5−1 in a network's input.
func pixel(v float32) byte {
	return byte(math.Round(min(max((float64(v)+1)*127.5, 0), 255)))
}
