package quantize

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"xbmedge/internal/nn"
	"xbmedge/internal/vision"
)

const (
	// shards is the number of parts the frames are calibrated in, side by side where there are processors for it. It
	// does not depend on the machine, so neither do the sums.
	shards = 4
	// tuneFrames is the number of frames the int8 model itself is run on to correct its biases.
	tuneFrames = 32
	// FewFrames is the number of frames below which a calibration warns.
	FewFrames = 16
)

// Calibration is what a network's values were on the calibration pictures.
type Calibration struct {
	Samples  int
	Warnings []string               // what may make the model worse than it need be, for people
	layers   []*statistics          // in the network's order
	inner    map[string]*statistics // of values inside layers, by the names that tflitefile has for them
	input    *statistics
	frames   []vision.Frame
}

// Calibrate runs a network without batch norms on pictures and notes the range and distribution of every layer. The
// frames must have the network's input size (vision.Preprocessor); 100 to 500 that look like what the board will see
// are enough, fewer than FewFrames are warned of. It needs TensorFlow Lite, and keeps the frames for what runs the int8
// model later: they must not be changed.
func Calibrate(ctx context.Context, net *nn.Network, w nn.Weights, frames []vision.Frame) (*Calibration, error) {
	if len(frames) == 0 {
		return nil, errors.New("calibrate: no pictures: give at least one, better 100 or more, like those the board will see")
	}
	if net.Input.C != 3 {
		return nil, fmt.Errorf("calibrate: network %s takes %d channels, not a picture's 3", net.Name, net.Input.C)
	}
	shapes, err := net.Shapes()
	if err != nil {
		return nil, fmt.Errorf("calibrate: %w", err)
	}
	file, names, channels, err := probeFile(net, w)
	if err != nil {
		return nil, fmt.Errorf("calibrate: %w", err)
	}
	debug.FreeOSMemory() // of the photos' decoding and the file's making, before what takes the most: an eighth less at the peak
	c := calibrator{
		frames: frames, names: names, channels: channels, every: (len(frames) + tuneFrames - 1) / tuneFrames,
	}
	if last := shapes[len(shapes)-1]; last.H == 1 && last.W == 1 {
		c.embedding = len(shapes) - 1
		c.vectors = make([][]float32, len(frames))
	}
	all, err := c.run(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("calibrate: %w", err)
	}
	cal := &Calibration{Samples: len(frames), input: all[0], frames: frames, inner: map[string]*statistics{}}
	cal.layers = all[1 : 1+len(net.Layers)]
	for i, name := range names[len(net.Layers):] {
		cal.inner[name] = all[1+len(net.Layers)+i]
	}
	cal.layers[len(cal.layers)-1].vectors = c.vectors
	cal.warn(net)
	return cal, nil
}

// calibrator runs the shards of one Calibrate.
type calibrator struct {
	frames    []vision.Frame
	names     []string
	channels  []int
	every     int // frames from one tuning frame to the next
	embedding int // output whose vectors are kept
	vectors   [][]float32
}

// run returns the statistics of the input and, after it, of every value of the probe.
func (c *calibrator) run(ctx context.Context, file []byte) ([]*statistics, error) {
	sums := make([][]*statistics, min(shards, len(c.frames)))
	errs := make([]error, len(sums))
	next := make(chan int, len(sums))
	for s := range sums {
		next <- s
	}
	close(next)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(sums)) {
		wg.Go(func() {
			p, err := openProbe(file, c.names, c.channels)
			if err != nil {
				errs[0] = err
				return
			}
			for s := range next {
				sums[s], errs[s] = c.shard(ctx, p, s, len(sums))
			}
			if err := p.interpreter.Close(); err != nil {
				errs[0] = errors.Join(errs[0], err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, more := range sums[1:] {
		for i, s := range more {
			sums[0][i].merge(s)
		}
	}
	for _, s := range sums[0] {
		s.finish()
	}
	return sums[0], nil
}

// shard runs every count-th frame, beginning with the first-th.
func (c *calibrator) shard(ctx context.Context, p *probe, first, count int) ([]*statistics, error) {
	all := []*statistics{newStatistics(3)}
	for _, channels := range c.channels {
		all = append(all, newStatistics(channels))
	}
	var frames []vision.Frame
	for i := first; i < len(c.frames); i += count {
		frames = append(frames, c.frames[i])
	}
	err := p.each(ctx, frames, func(i int, input []float32, values [][]float32) error {
		frame := first + i*count
		tune := frame%c.every == 0
		if err := all[0].add(input, frame, tune); err != nil {
			return fmt.Errorf("the input: it %w", err)
		}
		for k, v := range values {
			if err := all[1+k].add(v, frame, tune); err != nil {
				return fmt.Errorf("layer %s %w", c.names[k], err)
			}
		}
		if c.vectors != nil {
			c.vectors[frame] = append([]float32(nil), values[c.embedding]...)
		}
		return nil
	})
	return all, err
}

// tuning returns the frames the int8 model is run on, and their numbers.
func (c *Calibration) tuning() (frames []vision.Frame, numbers []int) { return c.spread(tuneFrames) }

// spread returns at most count frames from all over the calibration, and their numbers.
func (c *Calibration) spread(count int) (frames []vision.Frame, numbers []int) {
	every := (len(c.frames) + count - 1) / count
	for i := 0; i < len(c.frames); i += every {
		frames, numbers = append(frames, c.frames[i]), append(numbers, i)
	}
	return frames, numbers
}

func (c *Calibration) warn(net *nn.Network) {
	if c.Samples < FewFrames {
		c.Warnings = append(c.Warnings, fmt.Sprintf("calibrated on %d pictures only: ranges from fewer than %d are chance; take 100 or more",
			c.Samples, FewFrames))
	}
	for i, s := range c.layers {
		dead := 0
		for c := range s.means {
			if s.peak(c) == 0 {
				dead++
			}
		}
		switch name := net.Layers[i].Name; {
		case s.min == s.max:
			c.Warnings = append(c.Warnings, fmt.Sprintf("layer %s gives %g whatever it sees: pictures all alike, or a layer that training has switched off", name, s.min))
		case dead > len(s.means)/2:
			c.Warnings = append(c.Warnings, fmt.Sprintf("layer %s: %d of %d channels are zero on every picture", name, dead, len(s.means)))
		}
	}
}
