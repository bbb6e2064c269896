package capture

import (
	"fmt"
	"hash/maphash"
	"time"

	"xbmedge/camera"
)

// freezer notices a picture that does not change, not even by a sensor's noise.
type freezer struct {
	limit time.Duration // 0: nobody asks
	seed  maphash.Seed
	hash  uint64
	same  int       // frames with that hash
	since time.Time // of the first of them
}

// leastSame is how many frames must be the same: two may be at a low rate.
const leastSame = 3

func newFreezer(limit time.Duration) freezer {
	return freezer{limit: limit, seed: maphash.MakeSeed()}
}

// look returns ErrFrozen when f and those before it have been the same for the limit.
func (z *freezer) look(f *camera.Frame) error {
	if z.limit <= 0 {
		return nil
	}
	hash := maphash.Bytes(z.seed, f.Pix)
	if z.same == 0 || hash != z.hash {
		z.hash, z.same, z.since = hash, 1, f.Captured
		return nil
	}
	z.same++
	if unchanged := f.Captured.Sub(z.since); z.same >= leastSame && unchanged >= z.limit {
		return fmt.Errorf("%w: the same for %v, %d times", ErrFrozen, unchanged.Round(time.Millisecond), z.same)
	}
	return nil
}
