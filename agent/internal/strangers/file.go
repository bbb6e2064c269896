package strangers

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math"
	"os"
	"slices"
	"time"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/gallery"
	"xbmedge/internal/retrieval"
)

const (
	fileVersion = 1
	maxFile     = 512 << 20
)

// file is what Save writes, as JSON.
type file struct {
	Version   int           `json:"version"`
	Model     gallery.Model `json:"model"`
	Next      int           `json:"next"` // number of the next new stranger
	Strangers []entry       `json:"strangers"`
}

type entry struct {
	Number  int       `json:"number"`
	Seen    time.Time `json:"seen"`
	Vectors []string  `json:"vectors"` // little-endian float32 with their CRC-32, in base64
}

// Save writes the store to its file, whole or not at all, when something has changed since the last time.
func (s *Strangers) Save() error {
	s.mu.Lock()
	if s.path == "" || !s.dirty {
		s.mu.Unlock()
		return nil
	}
	f := file{Version: fileVersion, Model: s.model, Next: s.next, Strangers: make([]entry, 0, len(s.known))}
	for _, x := range s.known {
		e := entry{Number: x.number, Seen: x.seen}
		for _, v := range x.vectors {
			e.Vectors = append(e.Vectors, encode(v))
		}
		f.Strangers = append(f.Strangers, e)
	}
	s.dirty = false
	s.mu.Unlock() // not while the disk works
	if err := atomicfile.WriteJSON(s.path, 0o640, f); err != nil {
		s.mu.Lock()
		s.dirty = true
		s.mu.Unlock()
		return fmt.Errorf("save strangers: %w", err)
	}
	return nil
}

// load fills an empty store from its file.
func (s *Strangers) load(log *slog.Logger) error {
	info, err := os.Stat(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open strangers: %w", err)
	}
	var text []byte
	if info.Mode().IsRegular() && info.Size() <= maxFile {
		if text, err = os.ReadFile(s.path); err != nil {
			return fmt.Errorf("open strangers: %w", err)
		}
	}
	var f file
	if err := s.take(text, &f); err != nil {
		aside := s.path + ".damaged"
		if renamed := os.Rename(s.path, aside); renamed != nil {
			return fmt.Errorf("strangers %s: %w; move it away (%w)", s.path, err, renamed)
		}
		log.Error("the file of strangers is damaged; it is kept aside and begun anew", "file", aside, "error", err)
		return nil
	}
	s.next = f.Next
	if f.Model.SHA256 != s.model.SHA256 || f.Model.Dim != s.model.Dim {
		log.Warn("strangers were seen with another model and are forgotten", "model", f.Model.String(), "strangers", len(f.Strangers))
		s.known = nil
	}
	s.known = s.known[max(0, len(s.known)-s.keep):]
	return nil
}

// take reads a file's content into f and the store's list.
func (s *Strangers) take(text []byte, f *file) error {
	if err := json.Unmarshal(text, f); err != nil {
		return err
	}
	if f.Version != fileVersion || f.Next < 1 {
		return fmt.Errorf("version %d, next %d; this program reads version %d", f.Version, f.Next, fileVersion)
	}
	seen := map[int]bool{}
	for _, e := range f.Strangers {
		if e.Number < 1 || e.Number >= f.Next || seen[e.Number] || len(e.Vectors) < 1 || len(e.Vectors) > views {
			s.known = nil
			return fmt.Errorf("stranger %d does not fit", e.Number)
		}
		seen[e.Number] = true
		x := stranger{number: e.Number, seen: e.Seen}
		for _, t := range e.Vectors {
			v, err := decode(t)
			if err == nil && (len(v) != f.Model.Dim || !(math.Abs(float64(retrieval.Dot(v, v))-1) < 1e-3)) {
				err = errors.New("not an embedding of length 1")
			}
			if err != nil {
				s.known = nil
				return fmt.Errorf("stranger %d: %w", e.Number, err)
			}
			x.vectors = append(x.vectors, v)
		}
		s.known = append(s.known, x)
	}
	slices.SortStableFunc(s.known, func(a, b stranger) int { return a.seen.Compare(b.seen) })
	return nil
}

func encode(v []float32) string {
	var raw []byte
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(binary.LittleEndian.AppendUint32(raw, crc32.ChecksumIEEE(raw)))
}

func decode(text string) ([]float32, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	n := len(raw) - 4
	if n < 0 || n%4 != 0 || crc32.ChecksumIEEE(raw[:n]) != binary.LittleEndian.Uint32(raw[n:]) {
		return nil, errors.New("checksum of an embedding differs")
	}
	v := make([]float32, n/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return v, nil
}
