package camera

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"xbmedge/internal/vision"
)

// pattern is the source of the kind test: a picture that moves, at a steady pace, with its number in it (see Number).
// Its address is a list of settings with commas between them:
//
//	size=640x480   fps=25   frames=100 (then it is lost)
//	stall=2s       it gives nothing more, and does not even end when asked to, from 2 s after it was opened
//	freeze=2s      it gives the same picture again and again
//	crash=2s       its process ends at once
//	refuse=2s      it cannot be opened, after 2 s
//	resize=2s      every second frame has half the width and height
//	if=PATH        these troubles come only while there is such a file
type pattern struct {
	patternSettings
	opened, next time.Time
	seq          uint64
	drawn        uint64 // number of the frame that is drawn last
}

type patternSettings struct {
	width, height                        int
	fps                                  float64
	frames                               uint64
	stall, freeze, crash, refuse, resize trouble
	onlyIf                               string
}

// trouble begins some time after the source was opened.
type trouble struct {
	set   bool
	after time.Duration
}

func parsePattern(cfg Config) (patternSettings, error) {
	s := patternSettings{width: cfg.Width, height: cfg.Height, fps: cfg.FPS}
	if s.width == 0 || s.height == 0 {
		s.width, s.height = 640, 480
	}
	if s.fps == 0 {
		s.fps = 25
	}
	troubles := map[string]*trouble{"stall": &s.stall, "freeze": &s.freeze, "crash": &s.crash, "refuse": &s.refuse, "resize": &s.resize}
	for setting := range strings.SplitSeq(cfg.Address, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(setting), "=")
		var err error
		switch key {
		case "":
		case "size":
			width, height, _ := strings.Cut(value, "x")
			var errW, errH error
			s.width, errW = strconv.Atoi(width)
			s.height, errH = strconv.Atoi(height)
			err = errors.Join(errW, errH)
		case "fps":
			s.fps, err = strconv.ParseFloat(value, 64)
		case "frames":
			s.frames, err = strconv.ParseUint(value, 10, 63)
		case "if":
			s.onlyIf = value
		default:
			t, known := troubles[key]
			if !known {
				return s, fmt.Errorf("%q is no setting of the test pattern; want size, fps, frames, stall, freeze, crash, refuse, resize, if", key)
			}
			t.set = true
			t.after, err = time.ParseDuration(value)
		}
		if err != nil {
			return s, fmt.Errorf("test pattern: %q: want such as size=640x480, fps=25, frames=100 or stall=2s", setting)
		}
	}
	if !(s.fps > 0 && s.fps <= 1000) {
		return s, fmt.Errorf("test pattern: fps %v is not from above 0 to 1000", s.fps)
	}
	return s, CheckSize(s.width, s.height)
}

func openPattern(cfg Config) (*pattern, error) {
	s, err := parsePattern(cfg)
	if err != nil {
		return nil, err
	}
	p := &pattern{patternSettings: s, opened: time.Now()}
	if s.refuse.set && p.active() {
		time.Sleep(s.refuse.after)
		return nil, errors.New("the test pattern was told to refuse")
	}
	p.next = time.Now()
	return p, nil
}

// has reports whether a trouble has begun.
func (p *pattern) has(t trouble) bool {
	return t.set && time.Since(p.opened) >= t.after && p.active()
}

func (p *pattern) active() bool {
	if p.onlyIf == "" {
		return true
	}
	_, err := os.Stat(p.onlyIf)
	return err == nil
}

func (p *pattern) Read(ctx context.Context, f *Frame) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.has(p.crash) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	if p.has(p.stall) {
		time.Sleep(time.Hour) // as a driver does that hangs: nothing wakes it
	}
	if p.frames > 0 && p.seq >= p.frames {
		return errors.New("the test pattern has given its frames")
	}
	if wait := time.Until(p.next); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	interval := time.Duration(float64(time.Second) / p.fps)
	if p.next = p.next.Add(interval); time.Since(p.next) > time.Second { // it was not read for long
		p.next = time.Now().Add(interval)
	}
	p.seq++
	if !p.has(p.freeze) || p.drawn == 0 {
		p.drawn = p.seq
	}
	width, height := p.width, p.height
	if p.seq%2 == 0 && p.has(p.resize) {
		width, height = max(1, width/2), max(1, height/2)
	}
	Shape(&f.Frame, width, height)
	draw(&f.Frame, p.drawn)
	f.Seq, f.Captured = p.seq, time.Now()
	return nil
}

func (p *pattern) Close() error { return nil }

const numberBits = 32

// draw paints stripes that move with n, and n itself as 32 squares in the top row, white for 1, the highest bit first.
func draw(f *vision.Frame, n uint64) {
	for y := range f.Height {
		row := f.Pix[3*f.Width*y : 3*f.Width*(y+1)]
		for x := range f.Width {
			v := byte(uint64(x) + uint64(y)/2 + 4*n)
			row[3*x], row[3*x+1], row[3*x+2] = v, byte(y), 255-v
		}
	}
	side := f.Width / numberBits
	for y := range min(side, f.Height) {
		for x := range side * numberBits {
			v := byte(255 * (n >> (numberBits - 1 - x/side) & 1))
			p := f.Pix[3*(f.Width*y+x):]
			p[0], p[1], p[2] = v, v, v
		}
	}
}

// Number reads the number that a frame of the kind test has in its top row; ok is false for a frame too narrow for it.
func Number(f vision.Frame) (n uint64, ok bool) {
	side := f.Width / numberBits
	if side == 0 || f.Validate() != nil {
		return 0, false
	}
	for bit := range numberBits {
		x, y := bit*side+side/2, min(side, f.Height)/2
		n = n<<1 | uint64(f.Pix[3*(f.Width*y+x)]>>7)
	}
	return n, true
}
