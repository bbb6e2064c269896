package curator

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/quality"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

const (
	// autoFAR is the rate for a threshold that nobody asked for.
	autoFAR = 0.001
	// maxSeconds is the longest that a camera is watched for one enrolment.
	maxSeconds = 60
)

// enroll adds to an identity what pictures, samples or a camera show of it.
func (j *job) enroll() error {
	name := cmp.Or(j.Name, j.known(j.ID), j.ID)
	id := cmp.Or(j.ID, gallery.Slug(name))
	if name == "" {
		return errors.New("enroll: no name")
	}
	if err := gallery.CheckName(name); err != nil {
		return fmt.Errorf("enroll: %w", err)
	}
	j.out.ID = id
	if old := j.known(id); old != "" && old != name {
		j.out.Warnings = append(j.out.Warnings, fmt.Sprintf("%q has the id of %q, %s: it is taken for the same thing and gets the new name; "+
			"if it is another, remove %[3]s and enroll both under names that differ in letters or digits", name, old, id))
	}
	samples, err := j.samples()
	if err != nil {
		return fmt.Errorf("enroll %s: %w", name, err)
	}
	if len(samples) > 0 {
		if j.out.Added, err = j.g.Add(id, name, samples); err != nil {
			return err
		}
		if j.Most > 0 {
			if j.out.Dropped, err = j.g.Trim(id, j.Most); err != nil {
				return err
			}
		}
	}
	if j.Last {
		if err := j.settle(); err != nil {
			return err
		}
		j.alike(id)
	}
	return nil
}

// known returns an identity's name, "" where it is not enrolled.
func (j *job) known(id string) string {
	for _, e := range j.g.Entries() {
		if e.ID == id {
			return e.Name
		}
	}
	return ""
}

// settle sets the threshold after an enrolment. One that somebody set by hand stays, and one that somebody calibrated: it
// rests on more than is enrolled.
func (j *job) settle() error {
	if j.Threshold != nil {
		return j.g.FixThreshold(*j.Threshold)
	}
	if j.g.ThresholdFixed() {
		j.out.Warnings = append(j.out.Warnings, fmt.Sprintf("the threshold stays at %.3f, as it was set by hand; calibrate to set it by what is enrolled", j.g.Threshold()))
		return nil
	}
	if c := j.g.Calibration(); c != nil {
		j.out.Warnings = append(j.out.Warnings, fmt.Sprintf("the threshold stays at %.3f, as calibrated for a rate of %v; calibrate again for what is enrolled now",
			j.g.Threshold(), c.Asked))
		return nil
	}
	c, err := j.g.Calibrate(cmp.Or(j.FAR, autoFAR), nil)
	if err != nil {
		return err
	}
	j.out.Calibrate = &c
	return j.g.SetThreshold(c.Threshold)
}

// samples returns what is to be enrolled. It is an error when nothing of what was given can be used.
func (j *job) samples() ([]gallery.Sample, error) {
	var samples []gallery.Sample
	seen := j.seen
	for i := range j.Pictures {
		s, err := j.see(&j.Pictures[i])
		if err != nil {
			j.out.Refused = append(j.out.Refused, Refusal{j.Pictures[i].Name, err.Error()})
			continue
		}
		seen = append(seen, s)
	}
	for i, s := range seen {
		if err := quality.Check(s.Picture); err != nil && !j.Force {
			name := fmt.Sprintf("picture %d", i+1)
			j.out.Refused = append(j.out.Refused, Refusal{cmp.Or(s.name, name), err.Error()})
			continue
		}
		made, err := j.sample(s)
		if err != nil {
			return nil, err
		}
		samples = append(samples, made)
	}
	switch {
	case len(samples) > 0 || len(j.Pictures)+len(j.seen) == 0 && j.Last:
		return samples, nil
	case len(j.out.Refused) > 0:
		return nil, fmt.Errorf("none of %d pictures can be used, the first because: %s", len(j.out.Refused), j.out.Refused[0].Why)
	}
	return nil, errors.New("no pictures")
}

// see embeds a picture.
func (j *job) see(p *control.Picture) (Seen, error) {
	e, err := j.model()
	if err != nil {
		return Seen{}, err
	}
	frame, err := p.Decode()
	if err != nil {
		return Seen{}, err
	}
	w, h := e.InputSize()
	if err := quality.CheckSize(frame, w, h); err != nil && !j.Force {
		return Seen{}, err
	}
	return look(e, frame, p.Name)
}

// look brings a picture to the model's size and embeds that.
func look(e Embedder, frame vision.Frame, name string) (Seen, error) {
	small, err := vision.NewPreprocessor(e.InputSize()).Resize(frame)
	if err != nil {
		return Seen{}, err
	}
	s := Seen{Picture: small, Embedding: make([]float32, e.ForGallery().Dim), At: time.Now(), name: name}
	return s, e.Embed(s.Embedding, small)
}

// embedCrop embeds a picture that was kept.
func embedCrop(e Embedder, crop []byte) ([]float32, error) {
	frame, err := vision.DecodeBytes(crop)
	if err != nil {
		return nil, err
	}
	s, err := look(e, frame, "")
	return s.Embedding, err
}

// sample is what is kept of a picture.
func (j *job) sample(s Seen) (gallery.Sample, error) {
	crop, err := encode(s.Picture)
	return gallery.Sample{Vector: s.Embedding, Crop: crop, Added: s.At}, err
}

// encode returns a picture as JPEG, as good as the room for it allows.
func encode(f vision.Frame) ([]byte, error) {
	var out bytes.Buffer
	for _, q := range []int{90, 75, 60, 40, 20} {
		out.Reset()
		if err := vision.EncodeJPEG(&out, f, q); err != nil {
			return nil, err
		}
		if out.Len() <= gallery.MaxCrop {
			return out.Bytes(), nil
		}
	}
	return nil, nil // a model with a huge input: without
}

// collect watches a camera.
func (c *Curator) collect(ctx context.Context, r *control.Request) ([]Seen, error) {
	c.mu.Lock()
	live := c.parts.Live
	c.mu.Unlock()
	if live == nil {
		return nil, errors.New("enroll from a camera: only an agent that runs has one; start it, or give pictures")
	}
	if !(r.Seconds > 0 && r.Seconds <= maxSeconds) {
		return nil, fmt.Errorf("enroll from a camera: %v seconds; want more than 0, up to %d", r.Seconds, maxSeconds)
	}
	seen, err := live.Collect(ctx, r.Camera, time.Duration(r.Seconds*float64(time.Second)))
	if err == nil && len(seen) == 0 {
		err = fmt.Errorf("enroll from a camera: %s gave no picture in %v seconds", r.Camera, r.Seconds)
	}
	return seen, err
}
