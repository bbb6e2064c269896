package gallery

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/retrieval"
)

// A gallery file is, all numbers little-endian: the magic; a uint32 length; that many bytes of JSON (type header); the
// embeddings as float32, identity after identity in the header's order; a CRC-32C of everything before it.
const (
	magic        = "XBMGAL\r\n"
	fileVersion  = 1
	maxHeader    = 64 << 20
	maxFile      = 4 << 30
	crcBytes     = 4
	minFileBytes = len(magic) + 4 + crcBytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type header struct {
	Version    int      `json:"version"`
	Model      Model    `json:"model"`
	Others     []string `json:"other_spaces,omitempty"`
	Threshold  float32  `json:"threshold"`
	Revision   uint64   `json:"revision"`
	Identities []Entry  `json:"identities"`
}

var (
	// ErrCorrupt is returned for a file that is damaged or no gallery.
	ErrCorrupt = errors.New("damaged or not a gallery")
	// ErrWrongModel is returned for a gallery made with another model.
	ErrWrongModel = errors.New("gallery belongs to another model")
)

// Encode returns the gallery as a file's content.
func (g *Gallery) Encode() ([]byte, error) {
	h := header{fileVersion, g.model, g.others, g.threshold, g.revision, g.entries}
	if h.Identities == nil {
		h.Identities = []Entry{}
	}
	text, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode gallery: %w", err)
	}
	out := make([]byte, 0, minFileBytes+len(text)+4*g.Len()*g.model.Dim)
	out = append(out, magic...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(text)))
	out = append(out, text...)
	for _, rows := range g.vectors {
		for _, x := range rows {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
		}
	}
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli)), nil
}

// Save writes the gallery to a file, whole or not at all.
func (g *Gallery) Save(path string) error {
	data, err := g.Encode()
	if err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(path, 0o644, data); err != nil {
		return fmt.Errorf("save gallery: %w", err)
	}
	return nil
}

// Load reads a gallery file for use with a model, which reads its own embedding space and those in readable, and makes the
// gallery the model's. Errors wrap ErrCorrupt or ErrWrongModel where they apply; the latter names both models.
func Load(path string, model Model, readable ...string) (*Gallery, error) {
	g, err := Read(path)
	if err != nil {
		return nil, err
	}
	made := g.model
	if err := g.adopt(model, readable); err != nil {
		return nil, fmt.Errorf("gallery %s: %w: it was made with %v, the model in use is %v; take the one it was made with, or enroll into a new file",
			path, err, made, model)
	}
	return g, nil
}

// Read reads a gallery file, whatever its model.
func Read(path string) (*Gallery, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open gallery: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("gallery %s: not a file of at most %d bytes: %w", path, int64(maxFile), ErrCorrupt)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("open gallery: %w", err)
	}
	g, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("gallery %s: %w", path, err)
	}
	return g, nil
}

// Decode reads a gallery from a file's content, which may be anything. What it accepts is sound: sizes fit, IDs are
// unique, embeddings are finite and of length 1. All errors wrap ErrCorrupt.
func Decode(data []byte) (*Gallery, error) {
	bad := func(format string, args ...any) (*Gallery, error) {
		return nil, fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrCorrupt)
	}
	if len(data) < minFileBytes || !bytes.HasPrefix(data, []byte(magic)) {
		return bad("%d bytes that do not start like a gallery", len(data))
	}
	body, sum := data[:len(data)-crcBytes], binary.LittleEndian.Uint32(data[len(data)-crcBytes:])
	if got := crc32.Checksum(body, castagnoli); got != sum {
		return bad("checksum is %08x, the file says %08x", got, sum)
	}
	rest := body[len(magic):]
	n := binary.LittleEndian.Uint32(rest)
	rest = rest[4:]
	if n > maxHeader || uint64(n) > uint64(len(rest)) {
		return bad("header of %d bytes in a file of %d", n, len(data))
	}
	var h header
	if err := json.Unmarshal(rest[:n], &h); err != nil {
		return bad("header: %v", err)
	}
	if h.Version != fileVersion {
		return bad("version %d, this program reads version %d", h.Version, fileVersion)
	}
	g, err := New(h.Model)
	if err != nil {
		return bad("%v", err)
	}
	if err := g.SetThreshold(h.Threshold); err != nil {
		return bad("%v", err)
	}
	if len(h.Others) > maxSpaces {
		return bad("embeddings of %d spaces, at most %d are allowed", len(h.Others), maxSpaces)
	}
	g.revision, g.others = h.Revision, h.Others
	if len(h.Identities) > MaxIdentities {
		return bad("%d identities, at most %d are allowed", len(h.Identities), MaxIdentities)
	}
	if err := checkEntries(h.Identities); err != nil {
		return bad("%v", err)
	}
	g.entries = h.Identities
	if want, got := uint64(4*g.model.Dim)*uint64(g.Len()), uint64(len(rest))-uint64(n); want != got {
		return bad("%d bytes of embeddings, the header announces %d", got, want)
	}
	rest = rest[n:]
	for i := range g.entries {
		rows := make([]float32, g.entries[i].Vectors*g.model.Dim)
		for j := range rows {
			rows[j] = math.Float32frombits(binary.LittleEndian.Uint32(rest[4*j:]))
		}
		rest = rest[4*len(rows):]
		for r := 0; r < len(rows); r += g.model.Dim {
			if row := rows[r : r+g.model.Dim]; !(math.Abs(float64(retrieval.Dot(row, row))-1) < 1e-3) {
				return bad("embedding %d of %q does not have length 1", r/g.model.Dim, g.entries[i].ID)
			}
		}
		g.vectors = append(g.vectors, rows)
	}
	return g, nil
}

func checkEntries(entries []Entry) error {
	total := 0
	for i, e := range entries {
		if !idPattern.MatchString(e.ID) || e.ID == UnknownID || e.Name == "" || len(e.Name) > maxNameBytes {
			return fmt.Errorf("identity %d: bad id or name", i)
		}
		if e.Vectors < 1 || e.Vectors > MaxVectors {
			return fmt.Errorf("identity %q has %d embeddings", e.ID, e.Vectors)
		}
		if total += e.Vectors; total > MaxVectors {
			return fmt.Errorf("more than %d embeddings", MaxVectors)
		}
		if i > 0 && entries[i-1].ID >= e.ID {
			return fmt.Errorf("identity %q is out of order or there twice", e.ID)
		}
	}
	return nil
}
