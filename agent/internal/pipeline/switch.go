package pipeline

import "math"

// SetRecognition switches whether frames are looked at, from the next one on. While they are not, none is embedded, and
// what was in view has left.
func (c *Camera) SetRecognition(on bool) {
	if c.asleep.Swap(!on) && on {
		c.LookAnew() // what came meanwhile need not move to be seen
	}
}

// SetFPS makes a Live camera look at so many frames a second at most, 0 for all, from the next one on.
func (c *Camera) SetFPS(fps float64) { c.fps.Store(math.Float64bits(fps)) }

// SetEmbeddings switches whether every frame's embedding is published, from the next one on. While it is, unmoved
// pictures are looked at, too.
func (c *Camera) SetEmbeddings(on bool) { c.embeddings.Store(on) }
