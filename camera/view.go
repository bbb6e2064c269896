package camera

import (
	"context"
	"errors"
	"fmt"
	"image"
	"strconv"
	"strings"

	"xbmedge/internal/vision"
)

// View is what is done to every frame: it is turned, then what is masked becomes grey, then a part is cut out. Crop and
// Mask are in shares of the whole picture as it is after the turn: 0,0 is its upper left corner and 1,1 the lower right.
type View struct {
	Rotate int    // clockwise: 0, 90, 180 or 270
	Crop   string // two opposite corners, "0.1,0 0.9,1"; "" for all
	// Mask are areas to be painted grey, as points: two are opposite corners, three or more a polygon.
	Mask []string
}

// Check returns an error for a view that cannot be.
func (v View) Check() error {
	_, err := newViewer(v)
	return err
}

// point is a place in a picture, in shares of it.
type point struct{ x, y float64 }

// viewer applies a View. It keeps what it worked out for a size, so a stream of one size allocates nothing.
type viewer struct {
	rotate int
	crop   []point
	masks  [][]point

	width, height int // that spans are for
	spans         []span
}

// span are the pixels from x0 to x1, without the latter, of a row.
type span struct{ y, x0, x1 int }

func newViewer(v View) (*viewer, error) {
	w := &viewer{rotate: v.Rotate}
	var faults []error
	if v.Rotate%90 != 0 || v.Rotate < 0 || v.Rotate > 270 {
		faults = append(faults, fmt.Errorf("rotate: %d is not one of 0, 90, 180, 270", v.Rotate))
	}
	if v.Crop != "" {
		points, err := parsePoints(v.Crop)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("crop: %w", err))
		case len(points) != 2 || points[0].x >= points[1].x || points[0].y >= points[1].y:
			faults = append(faults, fmt.Errorf("crop: %q: want the upper left and the lower right corner, such as 0.1,0 0.9,1", v.Crop))
		}
		w.crop = points
	}
	for i, text := range v.Mask {
		points, err := parsePoints(text)
		if err == nil && len(points) < 2 {
			err = fmt.Errorf("%q: want two corners, or three and more points of a polygon, such as 0,0 0.5,0.2", text)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("mask %d: %w", i+1, err))
			continue
		}
		if len(points) == 2 {
			a, b := points[0], points[1]
			points = []point{a, {b.x, a.y}, b, {a.x, b.y}}
		}
		w.masks = append(w.masks, points)
	}
	return w, errors.Join(faults...)
}

func parsePoints(text string) ([]point, error) {
	var points []point
	for pair := range strings.FieldsSeq(text) {
		left, right, both := strings.Cut(pair, ",")
		x, errX := strconv.ParseFloat(left, 64)
		y, errY := strconv.ParseFloat(right, 64)
		if !both || errX != nil || errY != nil || !(x >= 0 && x <= 1 && y >= 0 && y <= 1) {
			return nil, fmt.Errorf("%q: want points such as 0.25,0.5 of shares from 0 to 1", pair)
		}
		points = append(points, point{x, y})
	}
	return points, nil
}

// of returns src with the view applied; src itself where the view changes nothing.
func (w *viewer) of(src Source) Source {
	if w.rotate == 0 && w.crop == nil && w.masks == nil {
		return src
	}
	return &viewed{Source: src, view: w}
}

// viewed is a source seen through a view.
type viewed struct {
	Source
	view *viewer
	raw  Frame
}

func (v *viewed) Read(ctx context.Context, f *Frame) error {
	if err := v.Source.Read(ctx, &v.raw); err != nil {
		return err
	}
	f.Seq, f.Captured = v.raw.Seq, v.raw.Captured
	return v.view.apply(&f.Frame, &v.raw.Frame)
}

// apply makes dst the view of src, whose pixels it may change. dst keeps its buffer where that is large enough.
func (w *viewer) apply(dst, src *vision.Frame) error {
	if err := src.Validate(); err != nil {
		return err
	}
	width, height := src.Width, src.Height
	if w.rotate%180 != 0 {
		width, height = height, width
	}
	box := image.Rect(0, 0, width, height)
	if w.crop != nil {
		a, b := w.crop[0], w.crop[1]
		box = image.Rect(scaled(a.x, width), scaled(a.y, height), scaled(b.x, width), scaled(b.y, height))
		if box.Empty() { // of a picture so small that no pixel is left: its nearest one
			x, y := min(box.Min.X, width-1), min(box.Min.Y, height-1)
			box = image.Rect(x, y, max(box.Max.X, x+1), max(box.Max.Y, y+1))
		}
	}
	Shape(dst, box.Dx(), box.Dy())
	w.turn(dst, src, box)
	w.paint(dst, box, width, height)
	return nil
}

func scaled(share float64, size int) int { return int(share*float64(size) + 0.5) }

// turn copies the pixels inside box, which is in the coordinates of the turned picture.
func (w *viewer) turn(dst, src *vision.Frame, box image.Rectangle) {
	// The place in src of the box's first pixel, and the steps to the next one in a row and in a column, in bytes.
	x, y := box.Min.X, box.Min.Y
	row := 3 * src.Width
	var start, right, down int
	switch w.rotate {
	case 0:
		start, right, down = 3*x+row*y, 3, row
	case 90:
		start, right, down = 3*y+row*(src.Height-1-x), -row, 3
	case 180:
		start, right, down = 3*(src.Width-1-x)+row*(src.Height-1-y), -3, -row
	case 270:
		start, right, down = 3*(src.Width-1-y)+row*x, row, -3
	}
	for j := range dst.Height {
		out := dst.Pix[3*dst.Width*j : 3*dst.Width*(j+1)]
		from := start + j*down
		if right == 3 {
			copy(out, src.Pix[from:])
			continue
		}
		for i := 0; i < len(out); i += 3 {
			s := src.Pix[from : from+3 : from+3]
			out[i], out[i+1], out[i+2] = s[0], s[1], s[2]
			from += right
		}
	}
}

// masked is what masked pixels become: grey.
const masked = 128

// paint masks dst, which is the box of a turned picture of that size.
func (w *viewer) paint(dst *vision.Frame, box image.Rectangle, width, height int) {
	if w.masks == nil {
		return
	}
	if w.width != width || w.height != height {
		w.spans = maskSpans(w.spans[:0], w.masks, box, width, height)
		w.width, w.height = width, height
	}
	for _, s := range w.spans {
		pixels := dst.Pix[3*(s.y*dst.Width+s.x0) : 3*(s.y*dst.Width+s.x1)]
		for i := range pixels {
			pixels[i] = masked
		}
	}
}
