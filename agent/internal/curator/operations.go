package curator

import (
	"errors"
	"fmt"
	"time"

	"xbmedge/internal/gallery"
)

// operation is what can be asked for.
type operation struct {
	model bool // it needs the model, and makes a gallery where there is none
	do    func(*job) error
}

func operations() map[string]operation {
	return map[string]operation{
		"info":      {true, func(*job) error { return nil }},
		"enroll":    {true, (*job).enroll},
		"add":       {false, (*job).add},
		"remove":    {false, (*job).remove},
		"forget":    {false, func(j *job) error { return j.g.RemoveVector(j.Vector) }},
		"rename":    {false, func(j *job) error { j.out.ID = j.ID; return j.g.Rename(j.ID, j.Name) }},
		"name":      {true, (*job).name},
		"merge":     {false, (*job).merge},
		"reject":    {false, (*job).reject},
		"unreject":  {false, func(j *job) error { return j.g.Unreject(j.Vector) }},
		"threshold": {false, (*job).setThreshold},
		"calibrate": {false, (*job).calibrate},
		"reembed":   {true, (*job).reembed},
	}
}

// add takes over embeddings that were made elsewhere.
func (j *job) add() (err error) {
	var samples []gallery.Sample
	for _, s := range j.Samples {
		samples = append(samples, gallery.Sample(s))
	}
	j.out.ID = j.ID
	j.out.Added, err = j.g.Add(j.ID, j.Name, samples)
	return err
}

func (j *job) remove() error {
	if len(j.IDs) == 0 {
		return errors.New("remove: no ids")
	}
	for _, id := range j.IDs {
		if err := j.g.Remove(id); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) merge() error {
	if len(j.IDs) == 0 {
		return errors.New("merge: no ids to merge into it")
	}
	j.out.ID = j.ID
	for _, id := range j.IDs {
		if err := j.g.Merge(j.ID, id); err != nil {
			return err
		}
	}
	return nil
}

// reject keeps a counter-example: what an event was about, a picture or an embedding.
func (j *job) reject() error {
	s, err := j.counterExample()
	if err != nil {
		return err
	}
	j.out.ID = j.ID
	j.out.Vector, err = j.g.Reject(j.ID, s)
	return err
}

func (j *job) counterExample() (gallery.Sample, error) {
	given := 0
	for _, there := range []bool{j.Event != "", len(j.Embedding) > 0, len(j.Pictures) > 0, len(j.Samples) > 0} {
		if there {
			given++
		}
	}
	if given != 1 || len(j.Pictures) > 1 || len(j.Samples) > 1 {
		return gallery.Sample{}, errors.New("reject: want one event, picture, sample or embedding")
	}
	switch {
	case j.Event != "":
		if j.parts.Live == nil {
			return gallery.Sample{}, errors.New("reject an event: only an agent that runs remembers its events; give the picture")
		}
		s, known := j.parts.Live.Event(j.Event)
		if !known {
			return gallery.Sample{}, fmt.Errorf("reject: event %s is not among the latest that the agent remembers; give the picture", j.Event)
		}
		return j.sample(s)
	case len(j.Samples) > 0:
		return gallery.Sample(j.Samples[0]), nil
	case len(j.Embedding) > 0:
		return gallery.Sample{Vector: j.Embedding, Added: time.Now()}, nil
	}
	if err := j.own(); err != nil {
		return gallery.Sample{}, err
	}
	s, err := j.see(&j.Pictures[0])
	if err != nil {
		return gallery.Sample{}, err
	}
	return j.sample(s)
}

func (j *job) setThreshold() error {
	if j.Threshold == nil {
		return errors.New("threshold: none is given")
	}
	if j.ID != "" {
		j.out.ID = j.ID
		return j.g.SetOwnThreshold(j.ID, *j.Threshold)
	}
	return j.g.FixThreshold(*j.Threshold)
}

// calibrate takes over a threshold that was worked out on the gallery as it is.
func (j *job) calibrate() error {
	if j.Calibration == nil {
		return errors.New("calibrate: no calibration is given")
	}
	if j.Revision != 0 && j.Revision != j.g.Revision() {
		return fmt.Errorf("calibrate: the gallery has changed meanwhile (revision %d, calibrated on %d); calibrate again", j.g.Revision(), j.Revision)
	}
	if err := j.g.SetCalibration(*j.Calibration, j.Force, time.Now()); err != nil {
		return err
	}
	j.out.Calibrate = j.g.Calibration()
	return nil
}

// reembed makes all embeddings anew with the model in use, from the pictures.
func (j *job) reembed() error {
	e, err := j.model()
	if err != nil {
		return err
	}
	g, left, err := j.g.Reembed(j.ctx, e.ForGallery(), func(crop []byte) ([]float32, error) {
		return embedCrop(e, crop)
	})
	if err != nil {
		return err
	}
	if j.out.Kept, err = j.g.KeepOlder(j.parts.Path); err != nil {
		return err
	}
	for _, l := range left {
		j.out.Refused = append(j.out.Refused, Refusal{fmt.Sprintf("embedding %d of %s", l.Vector, l.ID), l.Why})
	}
	c, err := g.Calibrate(autoFAR, nil)
	if err != nil {
		return err
	}
	j.g = g
	j.out.Calibrate = &c
	j.out.Warnings = append(j.out.Warnings, "the threshold was set by what is enrolled; `xbm-agent calibrate` sets it for the new model")
	return g.SetThreshold(c.Threshold)
}

// alike warns of identities that an enrolled one could be taken for.
func (j *job) alike(id string) { j.out.Warnings = append(j.out.Warnings, Alike(j.g, id)...) }

// Alike says which other identities an enrolled one could be taken for at the gallery's threshold.
func Alike(g *gallery.Gallery, id string) []string {
	var warnings []string
	for _, p := range g.Alike(id) {
		warnings = append(warnings, fmt.Sprintf("%s and %s look alike (cosine %.3f between embeddings %d and %d, threshold %.3f): expect the "+
			"one to be taken for the other; merge them if they are one thing, or enroll more pictures of both",
			p.Of, p.Taken, p.Score, p.Vector, p.Near, g.Threshold()))
	}
	return warnings
}
