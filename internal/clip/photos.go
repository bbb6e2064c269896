package clip

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"math/rand/v2"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/photos"
	"xbmedge/internal/vision"
)

// PhotoOptions says how a clip is made of photos.
type PhotoOptions struct {
	Seed       uint64
	PerClass   int             // photos of each class that are shown; 0: all
	Frames     int             // frames a photo is shown for
	EmptyEvery int             // a bare grey wall is shown after so many photos; 0: never
	Strangers  map[string]bool // classes that will not be enrolled
}

// The clip's format.
const (
	photoSide = 448
	photoFPS  = 25
	quality   = 90
)

// FromPhotos writes a clip in which the camera moves slowly over one photo after another, in shuffled order, and
// returns its index. Photos that cannot be decoded are left out and reported.
func FromPhotos(ctx context.Context, path string, list []photos.Photo, o PhotoOptions) (*Index, []photos.Skipped, error) {
	if o.Frames < 1 {
		return nil, nil, fmt.Errorf("a photo shown for %d frames: take at least 1", o.Frames)
	}
	rng := rand.New(rand.NewPCG(o.Seed, 1))
	chosen := choose(list, o.PerClass, rng)
	index := &Index{Schema: 1, Width: photoSide, Height: photoSide, FPS: photoFPS}
	var skipped []photos.Skipped
	err := atomicfile.Write(path, 0o644, func(w io.Writer) error {
		for n, p := range chosen {
			if err := ctx.Err(); err != nil {
				return err
			}
			if o.EmptyEvery > 0 && n%o.EmptyEvery == 0 {
				if err := wall(w, o.Frames, rng); err != nil {
					return err
				}
				index.Append(o.Frames, "", Empty)
			}
			photo, err := vision.DecodeFile(p.Path)
			if err != nil {
				skipped = append(skipped, photos.Skipped{Path: p.Path, Err: err})
				continue
			}
			if err := pan(w, photo, o.Frames, rng); err != nil {
				return fmt.Errorf("%s: %w", p.Path, err)
			}
			kind := Enrolled
			if o.Strangers[p.Class] {
				kind = Stranger
			}
			index.Append(o.Frames, p.Class, kind)
		}
		if len(skipped) == len(chosen) {
			return errors.New("none of the photos can be read")
		}
		return nil
	})
	return index, skipped, err
}

// choose takes n photos of each class and shuffles them.
func choose(list []photos.Photo, n int, rng *rand.Rand) []photos.Photo {
	shuffled := make([]photos.Photo, len(list))
	for to, from := range rng.Perm(len(list)) {
		shuffled[to] = list[from]
	}
	taken := map[string]int{}
	var chosen []photos.Photo
	for _, p := range shuffled {
		if n > 0 && taken[p.Class] == n {
			continue
		}
		taken[p.Class]++
		chosen = append(chosen, p)
	}
	return chosen
}

// zoom is how much further away, as a share of the picture, the camera ends than it begins.
const zoom = 0.06

// pan films a photo: from a part of the largest square in its middle, a little off the centre, to the whole of it.
func pan(w io.Writer, photo vision.Frame, frames int, rng *rand.Rand) error {
	side := float64(min(photo.Width, photo.Height))
	offX, offY := 2*rng.Float64()-1, 2*rng.Float64()-1
	resize := vision.NewPreprocessor(photoSide, photoSide)
	for i := range frames {
		t := 0.5 - 0.5*math.Cos(math.Pi*float64(i)/float64(max(1, frames-1)))
		size := side * (1 - zoom*(1-t))
		slack := (side - size) / 2
		x, y := (float64(photo.Width)-size)/2+offX*slack, (float64(photo.Height)-size)/2+offY*slack
		box := image.Rect(int(x), int(y), int(x+size), int(y+size)).Intersect(image.Rect(0, 0, photo.Width, photo.Height))
		part, err := photo.Crop(box)
		if err != nil {
			return err
		}
		frame, err := resize.Resize(part)
		if err != nil {
			return err
		}
		if err := vision.EncodeJPEG(w, frame, quality); err != nil {
			return err
		}
	}
	return nil
}

// wall films nothing: grey with a little sensor noise.
func wall(w io.Writer, frames int, rng *rand.Rand) error {
	frame := vision.NewFrame(photoSide, photoSide)
	grey := 90 + rng.IntN(100)
	for range frames {
		for i := range frame.Pix {
			frame.Pix[i] = byte(grey + rng.IntN(3))
		}
		if err := vision.EncodeJPEG(w, frame, quality); err != nil {
			return err
		}
	}
	return nil
}
