package outbox

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// times returns how often a trial is made: short in every run, long where XBM_CHAOS is set (make chaos).
func times(short, long int) int {
	if os.Getenv("XBM_CHAOS") != "" {
		return long
	}
	return short
}

// sample is a segment of n events whose payloads hold what might be taken for records.
type sample struct {
	data   []byte
	starts []int // of each record, and the end of the last
}

func newSample(n int, r *rand.Rand) sample {
	s := sample{data: (&header{number: 7, next: 1}).encode()}
	for i := range n {
		payload := make([]byte, r.IntN(300))
		for j := range payload {
			payload[j] = byte(r.Uint32())
		}
		switch i % 7 {
		case 1:
			payload = append(payload, recordMagic[:]...)
		case 2: // a record of another segment
			payload = appendRecord(payload, salt(6), kindEvent, uint64(i+2), "t", []byte("inside"))
		case 3:
			payload = make([]byte, r.IntN(600))
		}
		s.starts = append(s.starts, len(s.data))
		s.data = appendRecord(s.data, salt(7), kindEvent, uint64(i+1), "xbm/n/c"+strconv.Itoa(i%3)+"/match", payload)
	}
	s.starts = append(s.starts, len(s.data))
	return s
}

// events returns the numbers of the events that a scan of data finds, after checking their content against whole.
func events(t *testing.T, data []byte, original sample) []uint64 {
	t.Helper()
	var out []uint64
	s := load(7, data, 0, func(f finding) {
		out = append(out, f.seq)
		i := int(f.seq) - 1
		if i >= len(original.starts)-1 {
			t.Fatalf("event %d was never written", f.seq)
		}
		if want := original.data[original.starts[i]:original.starts[i+1]]; !bytes.Equal(want, data[f.off:f.off+f.size]) {
			t.Fatalf("event %d is not what was written", f.seq)
		}
	})
	for _, d := range s.damaged {
		if d.size <= 0 || d.off < headerSize || d.off+d.size > len(data) {
			t.Fatalf("damage of %d bytes at %d", d.size, d.off)
		}
	}
	return out
}

func TestEveryPrefix(t *testing.T) {
	s := newSample(1000, rand.New(rand.NewPCG(1, 2)))
	wholeRecords := 0
	for n := range len(s.data) + 1 {
		for wholeRecords+1 < len(s.starts) && s.starts[wholeRecords+1] <= n {
			wholeRecords++
		}
		// A scan from the start for each would take minutes: records before the last whole one are the same each time.
		from := max(0, wholeRecords-3)
		skip := s.starts[from]
		cut := append(bytes.Clone(s.data[:min(headerSize, n)]), s.data[min(skip, n):n]...)
		var got []uint64
		l := load(7, cut, 0, func(f finding) { got = append(got, f.seq) })
		var want []uint64
		for i := from; i < wholeRecords; i++ {
			want = append(want, uint64(i+1))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("first %d bytes (-want +got):\n%s", n, diff)
		}
		if len(l.damaged) != 0 {
			t.Fatalf("first %d bytes: a write that was cut short is taken for damage", n)
		}
		if end := max(s.starts[wholeRecords]-skip+headerSize, min(n, headerSize)); n >= headerSize && int(l.end) != end {
			t.Fatalf("first %d bytes: whole up to %d, want %d", n, l.end, end)
		}
	}
}

func TestFlippedBits(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	s := newSample(60, r)
	flips := 0
	for flips < times(20_000, 1_000_000) {
		data := bytes.Clone(s.data)
		hit := map[int]bool{}
		for range 1 + r.IntN(6) {
			bit := r.IntN(8 * len(data))
			data[bit/8] ^= 1 << (bit % 8)
			flips++
			hit[bit/8] = true
		}
		var want []uint64
		for i := range len(s.starts) - 1 {
			if bytes.Equal(data[s.starts[i]:s.starts[i+1]], s.data[s.starts[i]:s.starts[i+1]]) {
				want = append(want, uint64(i+1))
			}
		}
		if diff := cmp.Diff(want, events(t, data, s)); diff != "" {
			t.Fatalf("bytes %v changed (-want +got):\n%s", hit, diff)
		}
	}
	t.Logf("%d bits flipped", flips)
}

// Events that another segment has already are passed over.
func TestCopies(t *testing.T) {
	s := newSample(10, rand.New(rand.NewPCG(7, 8)))
	var got []uint64
	l := load(7, s.data, 4, func(f finding) { got = append(got, f.seq) })
	if diff := cmp.Diff([]uint64{5, 6, 7, 8, 9, 10}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if n := l.count(0, 10); n != 6 {
		t.Errorf("%d events are counted, want 6", n)
	}
}

func TestHeader(t *testing.T) {
	want := header{number: 9, next: 77, acked: 12, boot: [16]byte{1, 2, 3}}
	b := want.encode()
	if len(b) != headerSize {
		t.Fatalf("%d bytes, want %d", len(b), headerSize)
	}
	got, ok := decodeHeader(b, 9)
	if !ok || got != want {
		t.Errorf("%+v, %v; want %+v", got, ok, want)
	}
	if _, ok := decodeHeader(b, 8); ok {
		t.Error("the header of another segment is taken")
	}
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		if _, ok := decodeHeader(b, 9); ok {
			t.Errorf("bit %d makes no difference", i)
		}
		b[i/8] ^= 1 << (i % 8)
	}
}

func TestCeiling(t *testing.T) {
	for _, n := range []uint64{0, 1, 1 << 40} {
		if got := decodeCeiling(encodeCeiling(n)); got != n {
			t.Errorf("%d became %d", n, got)
		}
	}
	b := encodeCeiling(12345)
	for i := range b {
		if got := decodeCeiling(b[:i]); got != 0 {
			t.Errorf("%d of its bytes make %d", i, got)
		}
	}
}

func TestSegmentNames(t *testing.T) {
	for name, want := range map[string]uint64{
		"0000000001.log": 1, "9876543210.log": 9876543210, "98765432100.log": 98765432100,
		"1.log": 0, "0000000000.log": 0, "-000000001.log": 0, "0000000001.log2": 0, "lock": 0, "0000000001-56.damaged": 0,
	} {
		got, ok := segmentNumber(name)
		if ok != (want > 0) || ok && got != want {
			t.Errorf("%q: %d, %v; want %d", name, got, ok, want)
		}
	}
}

// FuzzLoad reads any bytes: nothing panics, what comes back lies in them, in order.
func FuzzLoad(f *testing.F) {
	s := newSample(5, rand.New(rand.NewPCG(5, 6)))
	f.Add(s.data)
	f.Add(s.data[:len(s.data)-3])
	f.Add([]byte{})
	f.Add(appendRecord((&header{number: 7, next: 4, acked: 2}).encode(), salt(7), kindClosed, 3, "", nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		last := uint64(0)
		at := 0
		l := load(7, data, 0, func(e finding) {
			if e.seq <= last || e.off < at || e.off+e.size > len(data) || len(e.topic)+len(e.payload)+recordHeaderSize != e.size {
				t.Fatalf("event %d of %d bytes at %d, after event %d which ends at %d", e.seq, e.size, e.off, last, at)
			}
			last, at = e.seq, e.off+e.size
		})
		if l.end > int64(len(data)) || l.segment.last() != last || l.segment.last() > l.last {
			t.Fatalf("end %d of %d, last %d and %d, want %d", l.end, len(data), l.segment.last(), l.last, last)
		}
		if n := l.count(0, last); n < 0 || n > len(data)/recordHeaderSize {
			t.Fatal(fmt.Sprint(n, " events"))
		}
	})
}
