package outbox

import "time"

// Config says where and how much. Zero values take the defaults that their comments name.
type Config struct {
	Dir      string
	MaxBytes int64         // of all segments, 64 MiB; at least MinBytes
	Memory   int           // bytes of events that wait in memory while the disk takes nothing, 3 MiB
	Interval time.Duration // between two syncs at least, 100 ms
	Retry    time.Duration // between two tries of a disk that takes nothing, 1 s
	First    uint64        // number of the first event in a folder without a log, 1
	Boot     string        // tells one start of the machine from the next; "" asks the kernel
	// DailyBytes is how much may be written between two midnights (UTC), as far as this process knows; 0 is no limit.
	// Above it events wait in memory, and go to the disk only when there are too many.
	DailyBytes int64
}

const (
	// MinBytes is the least MaxBytes.
	MinBytes = 1 << 20
	// MaxBytes is the most MaxBytes.
	MaxBytes = 1 << 34

	confirmations = 4 << 10 // bytes of MaxBytes that are kept for them
	maxFile       = 5 << 20 // more than any segment
	burst         = 20      // events that do not wait for the interval to end when nothing was synced in it
	ahead         = 1000    // events that may be delivered before they are synced; as many numbers are left out after a power cut
)

func (c Config) withDefaults() Config {
	if c.MaxBytes == 0 {
		c.MaxBytes = 64 << 20
	}
	if c.Memory == 0 {
		c.Memory = 3 << 20
	}
	if c.Interval == 0 {
		c.Interval = 100 * time.Millisecond
	}
	if c.Retry == 0 {
		c.Retry = time.Second
	}
	c.First = max(c.First, 1)
	return c
}

// segmentBytes is how long a segment grows: the oldest goes as a whole, so it is a small part of all.
func (c Config) segmentBytes() int64 { return min(max(c.MaxBytes/16, 128<<10), 4<<20) }
