package gallery

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"xbmedge/internal/retrieval"
)

// A gallery file is, all numbers little-endian: the magic; a uint32 length; that many bytes of JSON (type header); the
// embeddings as float32, identity after identity in the header's order, its own before its counter-examples; a CRC-32C of
// everything before it; the pictures, in the same order, each with a CRC-32C of its own in the header. Version 1 has
// neither counter-examples nor pictures. Fields that a reader does not know are passed over.
const (
	magic        = "XBMGAL\r\n"
	fileVersion  = 2
	maxHeader    = 256 << 20
	maxFile      = 64 << 30
	crcBytes     = 4
	minFileBytes = len(magic) + 4 + crcBytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type header struct {
	Version     int          `json:"version"`
	Model       Model        `json:"model"`
	Others      []string     `json:"other_spaces,omitempty"`
	Threshold   float32      `json:"threshold"`
	ByHand      bool         `json:"threshold_by_hand,omitempty"`
	Revision    uint64       `json:"revision"`
	Next        uint64       `json:"next,omitempty"` // number of the next embedding
	Calibration *Calibration `json:"calibration,omitempty"`
	Identities  []entry      `json:"identities"`
}

// entry is an identity in the file.
type entry struct {
	Entry
	Records         []record `json:"records,omitempty"`   // of its own embeddings; version 1 has none
	RejectedRecords []record `json:"negatives,omitempty"` // of its counter-examples
}

var (
	// ErrCorrupt is returned for a file that is damaged or no gallery.
	ErrCorrupt = errors.New("damaged or not a gallery")
	// ErrWrongModel is returned for a gallery made with another model.
	ErrWrongModel = errors.New("gallery belongs to another model")
)

// Encode returns the gallery as a file's content.
func (g *Gallery) Encode() ([]byte, error) {
	var out bytes.Buffer
	if err := g.write(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// write writes the gallery as a file's content, picture by picture.
func (g *Gallery) write(w io.Writer) error {
	h := header{
		Version: fileVersion, Model: g.model, Others: g.others, Threshold: g.threshold, Revision: g.revision, Next: g.next,
		Calibration: g.calibration, ByHand: g.byHand, Identities: []entry{},
	}
	for i, e := range g.Entries() {
		h.Identities = append(h.Identities, entry{e, g.things[i].own.records, g.things[i].rejected.records})
	}
	text, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode gallery: %w", err)
	}
	sum := crc32.New(castagnoli)
	both := io.MultiWriter(w, sum)
	part := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(text)))
	if _, err := both.Write(append(part, text...)); err != nil {
		return err
	}
	for _, s := range g.sets() {
		part = part[:0]
		for _, x := range s.rows {
			part = binary.LittleEndian.AppendUint32(part, math.Float32bits(x))
		}
		if _, err := both.Write(part); err != nil {
			return err
		}
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32())); err != nil {
		return err
	}
	for _, s := range g.sets() {
		for i := range s.records {
			if s.records[i].Size == 0 {
				continue
			}
			crop, err := g.crop(&s.records[i])
			if err != nil {
				return err
			}
			if _, err := w.Write(crop); err != nil {
				return err
			}
		}
	}
	return nil
}

// sets returns all embeddings in the order in which a file has them.
func (g *Gallery) sets() []set {
	var sets []set
	for i := range g.things {
		sets = append(sets, g.things[i].own, g.things[i].rejected)
	}
	return sets
}

// Decode reads a gallery from a file's content, which may be anything. What it accepts is sound: sizes fit, IDs are
// unique, embeddings are finite and of length 1, pictures are whole. All errors wrap ErrCorrupt. It keeps the content.
func Decode(data []byte) (*Gallery, error) {
	g, err := read(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	for _, s := range g.sets() {
		for i := range s.records {
			r := &s.records[i]
			if r.data = data[r.at : r.at+int64(r.Size)]; crc32.Checksum(r.data, castagnoli) != r.Sum && r.Size > 0 {
				return nil, corrupt("picture %d does not have its checksum", r.ID)
			}
		}
	}
	return g, nil
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrCorrupt)
}

// read reads all but the pictures of a file of size bytes. Errors wrap ErrCorrupt, or are the reader's.
func read(from io.Reader, size int64) (*Gallery, error) {
	sum := crc32.New(castagnoli)
	r := io.TeeReader(from, sum)
	start := make([]byte, len(magic)+4)
	if size < int64(minFileBytes) {
		return nil, corrupt("%d bytes that do not start like a gallery", size)
	}
	if _, err := io.ReadFull(r, start); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(start, []byte(magic)) {
		return nil, corrupt("%d bytes that do not start like a gallery", size)
	}
	n := binary.LittleEndian.Uint32(start[len(magic):])
	left := size - int64(minFileBytes) - int64(n) // for embeddings and pictures
	if n > maxHeader || left < 0 {
		return nil, corrupt("header of %d bytes in a file of %d", n, size)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, err
	}
	var h header
	if err := json.Unmarshal(text, &h); err != nil {
		return nil, corrupt("header: %v", err)
	}
	g, err := h.gallery()
	if err != nil {
		return nil, err
	}
	vectors := int64(g.total()) * int64(4*g.model.Dim)
	if vectors > left {
		return nil, corrupt("%d bytes after the header, it announces embeddings of %d", left, vectors)
	}
	end := g.place(size - left + vectors)
	if end != size {
		return nil, corrupt("%d bytes, the header announces %d: it was cut off, or something was added", size, end)
	}
	for i := range g.things {
		t := &g.things[i]
		for _, s := range []*set{&t.own, &t.rejected} {
			if s.rows, err = readRows(r, len(s.records), g.model.Dim); err != nil {
				return nil, err
			}
		}
	}
	want := sum.Sum32()
	tail := make([]byte, crcBytes)
	if _, err := io.ReadFull(from, tail); err != nil {
		return nil, err
	}
	if said := binary.LittleEndian.Uint32(tail); said != want {
		return nil, corrupt("checksum is %08x, the file says %08x", want, said)
	}
	return g, g.checkRows()
}

// place works out where the pictures lie, from the first one's place on, and returns where they end.
func (g *Gallery) place(at int64) int64 {
	for _, s := range g.sets() {
		for i := range s.records {
			s.records[i].at = at
			at += int64(s.records[i].Size)
		}
	}
	return at
}

func readRows(r io.Reader, n, dim int) ([]float32, error) {
	rows := make([]float32, n*dim)
	part := make([]byte, 4*dim)
	for i := range n {
		if _, err := io.ReadFull(r, part); err != nil {
			return nil, err
		}
		for d := range dim {
			rows[i*dim+d] = math.Float32frombits(binary.LittleEndian.Uint32(part[4*d:]))
		}
	}
	return rows, nil
}

func (g *Gallery) checkRows() error {
	for i := range g.things {
		for _, s := range []set{g.things[i].own, g.things[i].rejected} {
			for r := range s.records {
				if row := s.row(r); !(math.Abs(float64(retrieval.Dot(row, row))-1) < 1e-3) {
					return corrupt("embedding %d of %q does not have length 1", r, g.things[i].ID)
				}
			}
		}
	}
	return nil
}
