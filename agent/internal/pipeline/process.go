package pipeline

import "xbmedge/internal/vision"

// process does everything for one frame. Without an event it allocates nothing.
func (c *Camera) process(f *Frame) {
	if c.asleep.Load() {
		if !c.idle {
			c.finish(f.Captured)
		}
		c.droppedBefore = c.dropped.Load()
		c.processed.Add(1)
		return
	}
	c.idle = false
	started := c.deps.Now()
	c.inModel = 0
	if err := c.recognise(f); err != nil && c.failed.Add(1) == 1 {
		c.log.Error("frame without a result; further ones are only counted", "error", err)
	}
	c.restTimes.add(c.deps.Now().Sub(started) - c.inModel)
	c.processed.Add(1) // not before: a frame in a model that hangs has not been looked at
}

func (c *Camera) recognise(f *Frame) error {
	if err := f.Validate(); err != nil {
		return err
	}
	dropped := c.dropped.Load()
	missed := dropped - c.droppedBefore
	c.droppedBefore = dropped
	moved := c.finder.moved(f.Frame)
	if moved {
		c.moving.Add(1 + missed)
	}
	c.trace.begin(f, moved)
	c.wanted = c.deps.Onlooker != nil && c.deps.Onlooker.Wants()
	anew := c.wanted
	if c.anew.Load() > 0 {
		c.anew.Add(-1)
		anew = true
	}
	if c.cfg.Gate && !c.embeddings.Load() && !moved && !anew && c.tracker.settled() {
		c.still.Add(1)
		c.tracker.still(f.Captured)
		c.tell(f, nil, "nothing moved")
		return nil
	}
	boxes, err := c.finder.find(f.Frame)
	if err != nil {
		return err
	}
	embedded := false
	c.seen = 0
	for i, box := range boxes {
		s := &c.slots[c.seen]
		ok, err := c.look(s, f, box, i)
		if err != nil {
			return err
		}
		embedded = embedded || ok
		if ok && s.present {
			c.seen++
		}
	}
	if embedded && moved {
		c.covered.Add(1)
	}
	c.tell(f, c.tracker.see(f.Captured, c.slots[:c.seen]), "")
	return nil
}

// look embeds and matches one region into s. It reports whether the gates let it through to the model. What is not
// present is done with here.
func (c *Camera) look(s *sighting, f *Frame, box vision.Box, region int) (embedded bool, err error) {
	picture, err := c.finder.cut(f.Frame, box)
	if err != nil {
		return false, err
	}
	sharpness, brightness := measure(picture)
	size := int(min(box.X1-box.X0, box.Y1-box.Y0) + 0.5)
	if gate := c.cfg.Quality.closed(size, sharpness, brightness); gate != "" {
		c.refuse(gate)
		c.trace.refused(share(box, f.Frame), gate, sharpness, brightness)
		return false, nil
	}
	started := c.deps.Now()
	if err := c.deps.Embedder.Embed(s.embedding, picture); err != nil {
		return false, err
	}
	done := c.deps.Now()
	if c.wanted {
		c.deps.Onlooker.Saw(picture, s.embedding)
		c.wanted = false
	}
	c.embedTimes.add(done.Sub(started))
	c.inModel += done.Sub(started)
	s.decision = c.deps.Matcher.Match(s.embedding)
	latency := Latency{max(0, started.Sub(f.Captured)), done.Sub(started), c.deps.Now().Sub(done)}
	s.present = c.isPresent(picture, region) || s.decision.Known
	s.sharpness, s.area = sharpness, box
	s.fill(f.Captured, share(box, f.Frame), latency)
	if c.embeddings.Load() {
		c.deps.Publisher.Embedding(c.cfg.Camera, f, s.embedding)
	}
	if c.cfg.Candidates && s.present && !s.decision.Known && len(s.decision.TopK) > 0 {
		c.deps.Publisher.Candidate(c.cfg.Camera, f, &s.decision, s.Box)
	}
	if !s.present {
		c.trace.seen(s)
		c.report(f, s, false)
	}
	return true, nil
}

// isPresent reports whether anything is in a region's picture. Where regions are found by what is in them, it is.
func (c *Camera) isPresent(picture vision.Frame, region int) bool {
	if region < len(c.presence) {
		return c.presence[region].look(picture)
	}
	return true
}

// refuse counts a region that did not pass a gate.
func (c *Camera) refuse(gate string) {
	switch gate {
	case gateBlur:
		c.blurred.Add(1)
	case gateSize:
		c.small.Add(1)
	case gateExposure:
		c.exposed.Add(1)
	}
}

// tell tells what a frame changed, and what was seen in it: after the gate what was seen in the frame before.
func (c *Camera) tell(f *Frame, changed []Event, gate string) {
	for i := range c.slots[:c.seen] {
		if gate == "" {
			c.trace.seen(&c.slots[i])
		}
		c.report(f, &c.slots[i], true)
	}
	for i := range changed {
		c.illustrate(f, &changed[i])
		c.emit(&changed[i])
	}
	if len(changed) > 0 {
		c.publishState(f.Captured)
	}
	c.trace.end(gate, c.tracker)
	c.show(f)
	if c.seen == 0 && !c.reported {
		c.empty.decision.Score = -1
		c.report(f, &c.empty, false)
	}
	c.reported = false
}

// illustrate gives an event the picture and the embedding it is about.
func (c *Camera) illustrate(f *Frame, e *Event) {
	for i := range c.slots[:c.seen] {
		if s := &c.slots[i]; e.Type != TrackEnd && s.track != nil && s.track.best.ID == e.ID {
			if picture, err := c.finder.cut(f.Frame, s.area); err == nil { // it was cut before, to be embedded
				e.Picture, e.Embedding = picture, s.embedding
			}
		}
	}
}

// report writes the outcome of one region.
func (c *Camera) report(f *Frame, s *sighting, present bool) {
	c.reported = true
	if c.deps.Results == nil {
		return
	}
	r := Result{Camera: c.cfg.Camera, Seq: f.Seq, Present: present, Decision: &s.decision, Box: s.Box}
	if present && s.track != nil {
		r.Track = s.track.label
	}
	if err := c.deps.Results.Frame(r); err != nil {
		c.log.Error("results are no longer written", "error", err)
		c.deps.Results = nil
	}
}
