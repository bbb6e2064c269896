package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	gosync "sync"
	"testing"
	"time"
)

// sector is what a disk writes as one; a power cut may leave any of those that were not synced, in any order.
const sector = 512

// ram is a disk that knows what was synced, and makes images of what a power cut would leave.
type ram struct {
	mu      gosync.Mutex
	files   map[string]*ramFile
	entries map[string]*ramFile // as of the last sync of the folder
	lies    bool                // its syncs do nothing: the control
}

// ramFile is a file's content now and as of its last sync.
type ramFile struct {
	now, synced []byte
}

func newRAM() *ram { return &ram{files: map[string]*ramFile{}, entries: map[string]*ramFile{}} }

func (d *ram) list() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.files)), nil
}

func (d *ram) read(name string, _ []byte) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil {
		return nil, os.ErrNotExist
	}
	return bytes.Clone(f.now), nil
}

func (d *ram) open(name string) (readFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil {
		return nil, os.ErrNotExist
	}
	return &ramHandle{d, f}, nil
}

func (d *ram) create(name string, fresh bool) (writeFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if fresh == (f != nil) {
		return nil, errors.New("there, or not there")
	}
	if f == nil {
		f = &ramFile{}
		d.files[name] = f
	}
	return &ramHandle{d, f}, nil
}

func (d *ram) overwrite(name string, b []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[name] = &ramFile{bytes.Clone(b), bytes.Clone(b)}
	d.entries[name] = d.files[name]
	return nil
}

func (d *ram) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, name)
	return nil
}

func (d *ram) sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.lies {
		d.entries = maps.Clone(d.files)
	}
	return nil
}

type ramHandle struct {
	d *ram
	f *ramFile
}

func (h *ramHandle) ReadAt(b []byte, off int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if off > int64(len(h.f.now)) {
		return 0, io.EOF
	}
	n := copy(b, h.f.now[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *ramHandle) Write(b []byte) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	h.f.now = append(h.f.now, b...)
	return len(b), nil
}

func (h *ramHandle) truncate(size int64) error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	h.f.now = bytes.Clone(h.f.now[:size])
	return nil
}

func (h *ramHandle) sync() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if !h.d.lies {
		h.f.synced = bytes.Clone(h.f.now)
	}
	return nil
}

func (*ramHandle) Close() error { return nil }

// cut returns what a power cut might leave: names that were made or removed since the last sync of the folder may be
// there or not; a file has any length from the synced to the present one, and each sector that was written since its
// last sync is there, or zero, or of some old file.
func (d *ram) cut(r *rand.Rand) *ram {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := newRAM()
	for name, f := range d.files {
		if _, lasting := d.entries[name]; lasting || r.IntN(2) == 0 {
			out.files[name] = f.cut(r)
		}
	}
	for name, f := range d.entries {
		if d.files[name] == nil && r.IntN(2) == 0 {
			out.files[name] = f.cut(r)
		}
	}
	out.entries = maps.Clone(out.files)
	return out
}

func (f *ramFile) cut(r *rand.Rand) *ramFile {
	length := len(f.now)
	if n := len(f.now) - len(f.synced); n > 0 {
		length = len(f.synced) + r.IntN(n+1)
	}
	b := bytes.Clone(f.now[:length])
	style := r.IntN(4) // of what is left: all, some, little, none
	for at := 0; at < length; at += sector {
		end := min(at+sector, length)
		if end <= len(f.synced) && bytes.Equal(b[at:end], f.synced[at:end]) || r.IntN(3) >= style {
			continue
		}
		from := min(max(at, len(f.synced)), end) // what is synced of a sector stays
		if r.IntN(2) == 0 {
			clear(b[from:end])
			continue
		}
		for i := from; i < end; i++ {
			b[i] = f.now[r.IntN(len(f.now))]
		}
	}
	return &ramFile{b, bytes.Clone(b)}
}

// trial writes to a log on a RAM disk and cuts the power again and again. It returns what a check of the images says.
func trial(seed uint64, images int, lies bool) (faults []error) {
	r := rand.New(rand.NewPCG(seed, 9))
	d := newRAM()
	d.lies = lies
	cfg := Config{MaxBytes: MinBytes, Interval: time.Millisecond, Boot: bootOne}.withDefaults()
	l, err := open(cfg, d, quiet())
	if err != nil {
		return []error{err}
	}
	defer func() { _ = l.Close() }()
	payloads := map[uint64]string{}
	var given, synced, acked, delivered uint64
	for images > 0 {
		switch r.IntN(8) {
		case 0, 1, 2:
			for range 1 + r.IntN(40) {
				_ = l.Append("topic", func(seq uint64) ([]byte, error) {
					payloads[seq] = fmt.Sprintf("event %d %0*d", seq, r.IntN(700), 0)
					given = seq
					return []byte(payloads[seq]), nil
				})
			}
		case 3:
			for range 3 {
				for _, rec := range l.Peek(max(acked, delivered), 20) {
					delivered = rec.Seq
				}
			}
		case 4:
			if delivered > acked {
				acked += 1 + r.Uint64N(delivered-acked)
				_ = l.Ack(acked)
			}
		case 5:
			if err := l.Sync(); err != nil {
				return []error{err}
			}
			synced = given
		case 6:
			time.Sleep(time.Duration(r.IntN(300)) * time.Microsecond) // the writer is somewhere else then
		default:
			images--
			image := d.cut(r)
			l.mu.Lock()
			floor := l.floor
			l.mu.Unlock()
			if err := checkImage(cfg, image, payloads, floor, synced, max(delivered, acked)); err != nil {
				faults = append(faults, err)
			}
		}
	}
	return faults
}

// checkImage opens what a power cut left. Events up to floor are confirmed or were dropped, up to synced have to be
// there, and numbers up to delivered must not come again.
func checkImage(cfg Config, d *ram, payloads map[uint64]string, floor, synced, delivered uint64) error {
	cfg.Boot = bootTwo
	for start := range 2 {
		l, err := open(cfg, d, quiet())
		if err != nil {
			return err
		}
		last, waiting := uint64(0), 0
		for {
			records := l.Peek(last, 50)
			if len(records) == 0 {
				break
			}
			for _, rec := range records {
				if rec.Seq <= last || last >= floor && last < synced && rec.Seq != last+1 || last < floor && rec.Seq > floor+1 && floor < synced {
					return fmt.Errorf("event %d comes after %d; up to %d were confirmed, to %d synced", rec.Seq, last, floor, synced)
				}
				last = rec.Seq
				waiting++
				if want, ok := payloads[rec.Seq]; ok && string(rec.Payload) != want || !ok && start == 0 {
					return fmt.Errorf("event %d holds %q, want %q", rec.Seq, rec.Payload, want)
				}
			}
		}
		if last < synced && floor < synced {
			return fmt.Errorf("events after %d are gone; up to %d were synced", last, synced)
		}
		if n := l.Len(); n != waiting {
			return fmt.Errorf("%d events wait, they say; %d came", n, waiting)
		}
		if next := l.Stats().Next; next <= delivered {
			return fmt.Errorf("number %d comes again; up to %d were delivered", next, delivered)
		}
		if err := l.Append("topic", func(seq uint64) ([]byte, error) { synced = seq; return []byte("new"), nil }); err != nil {
			return err
		}
		floor = synced - 1 // what was left out is no gap
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

func TestPowerCuts(t *testing.T) {
	images := times(100, 1000)
	for seed := range uint64(5) {
		for _, err := range trial(seed, images/5, false) {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
	t.Logf("%d images", images)
}

// Without syncs the same check finds losses: it is able to.
func TestPowerCutsFindAMissingSync(t *testing.T) {
	if faults := trial(1, 30, true); len(faults) == 0 {
		t.Error("a disk that syncs nothing passes")
	}
}
