package curator

import (
	"errors"
	"fmt"

	"xbmedge/internal/gallery"
)

// name enrolls a stranger: by the pictures of the latest events that told of it, and by what else it looked like, of which
// there is no picture.
func (j *job) name() error {
	if j.parts.Strangers == nil {
		return errors.New("name: only an agent that runs, with strangers.keep above 0, remembers strangers; enroll the thing from pictures")
	}
	if j.Name == "" {
		return fmt.Errorf("name %s: no name is given", j.ID)
	}
	vectors, err := j.parts.Strangers.Vectors(j.ID)
	if err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if err := gallery.CheckName(j.Name); err != nil {
		return fmt.Errorf("name %s: %w", j.ID, err)
	}
	var samples []gallery.Sample
	if j.parts.Live != nil {
		for _, s := range j.parts.Live.Latest(j.ID) {
			made, err := j.sample(s)
			if err != nil {
				return err
			}
			samples = append(samples, made)
		}
	}
	for _, v := range vectors {
		samples = append(samples, gallery.Sample{Vector: v})
	}
	j.out.ID = gallery.Slug(j.Name)
	if j.out.Added, err = j.g.Add(j.out.ID, j.Name, samples); err != nil {
		return err
	}
	if err := j.settle(); err != nil {
		return err
	}
	j.alike(j.out.ID)
	return nil
}

// forget forgets a stranger that has a name now. One that has gone meanwhile is forgotten already.
func (c *Curator) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.parts.Strangers.Forget(id); err != nil {
		c.parts.Log.Debug("a named stranger was gone", "error", err)
	}
}
