package gallery_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/gallery"
)

func sameContent(t *testing.T, want, got *gallery.Gallery) {
	t.Helper()
	a, err := want.Encode()
	b, failed := got.Encode()
	if err != nil || failed != nil || !bytes.Equal(a, b) {
		t.Errorf("not the same content: %v, %v\n%q\n%q", err, failed, a, b)
	}
}

// pictured is a gallery with all that a file can hold.
func pictured(t testing.TB) *gallery.Gallery {
	t.Helper()
	g := filled(t)
	when := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	_, err := g.Add("apple", "Apple", []gallery.Sample{
		{Vector: []float32{1, 0, 0.5, 0}, Crop: []byte("picture of an apple"), Added: when},
		{Vector: []float32{1, 0, 0, 0.5}, Crop: []byte("another")},
	})
	_, failed := g.Reject("pear", gallery.Sample{Vector: []float32{0.5, 1, 0, 0}, Crop: []byte("no pear"), Added: when})
	if err := errors.Join(err, failed, g.SetOwnThreshold("mug", 0.75), g.SetThreshold(0.625)); err != nil {
		t.Fatal(err)
	}
	return g
}

// version1 is what the first version of the program wrote.
func version1(t testing.TB) []byte {
	t.Helper()
	text := `{"version":1,"model":{"name":"small","sha256":"` + strings.Repeat("ab", 32) + `","dim":4},"threshold":0.625,"revision":3,` +
		`"identities":[{"id":"mug","name":"Mug","vectors":2},{"id":"pear","name":"Pear","vectors":1}]}`
	out := binary.LittleEndian.AppendUint32([]byte("XBMGAL\r\n"), uint32(len(text)))
	out = append(out, text...)
	for _, x := range []float32{0, 0, 1, 0, 0, 0, 0.8, 0.6, 0, 1, 0, 0} {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, crc32.MakeTable(crc32.Castagnoli)))
}

func TestReadsVersion1(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.gallery")
	if err := os.WriteFile(path, version1(t), 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := gallery.Load(path, model)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Save(path); err != nil {
		t.Fatal(err)
	}
	again, err := gallery.Load(path, model)
	if err != nil {
		t.Fatal(err)
	}
	want := []gallery.Entry{
		{Identity: gallery.Identity{ID: "mug", Name: "Mug"}, Vectors: 2},
		{Identity: gallery.Identity{ID: "pear", Name: "Pear"}, Vectors: 1},
	}
	if diff := cmp.Diff(want, again.Entries()); diff != "" || again.Threshold() != 0.625 || again.Revision() != 3 {
		t.Errorf("threshold %v, revision %d; entries:\n%s", again.Threshold(), again.Revision(), diff)
	}
	own, _, err := again.Records("mug")
	if diff := cmp.Diff([]gallery.Record{{ID: 1}, {ID: 2}}, own); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestCropsStayInTheFile(t *testing.T) {
	g := pictured(t)
	path := filepath.Join(t.TempDir(), "my.gallery")
	if err := g.Save(path); err != nil {
		t.Fatal(err)
	}
	read, err := gallery.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	own, rejected, err := read.Records("pear")
	if err != nil || len(own) != 1 || len(rejected) != 1 {
		t.Fatalf("%v, %v, %v", own, rejected, err)
	}
	want := gallery.Record{ID: rejected[0].ID, Added: time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC), Crop: 7}
	if diff := cmp.Diff(want, rejected[0]); diff != "" {
		t.Error(diff)
	}
	for name, from := range map[string]*gallery.Gallery{"saved": g, "read": read} {
		if crop, err := from.Crop(rejected[0].ID); string(crop) != "no pear" || err != nil {
			t.Errorf("%s: %q, %v", name, crop, err)
		}
	}
	if _, err := read.Crop(own[0].ID); !errors.Is(err, gallery.ErrNoCrop) {
		t.Errorf("without a picture: %v", err)
	}
	if _, err := read.Crop(999); !errors.Is(err, gallery.ErrUnknownVector) {
		t.Errorf("unknown: %v", err)
	}
	if err := read.Verify(); err != nil {
		t.Errorf("whole: %v", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(data, []byte("no pear"), []byte("mo pear"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := read.Verify(); !errors.Is(err, gallery.ErrCorrupt) || !strings.Contains(err.Error(), "pear") {
		t.Errorf("a damaged picture: %v", err)
	}
	before, _ := os.ReadFile(path)
	if err := read.Save(path); !errors.Is(err, gallery.ErrCorrupt) {
		t.Errorf("saving with a damaged picture: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file was changed by what could not be saved")
	}
}

// Wherever a power cut or a bad card ends the file: the state before is taken, and said.
func TestDamagedFileGivesLastGoodState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "my.gallery")
	first := pictured(t)
	if err := first.Save(path); err != nil {
		t.Fatal(err)
	}
	want, err := first.Encode()
	if err != nil {
		t.Fatal(err)
	}
	second := first.Clone()
	if err := errors.Join(second.Remove("mug"), second.Save(path)); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if err := os.WriteFile(path, good[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		g, err := gallery.Load(path, model)
		if err != nil {
			t.Fatalf("first %d of %d bytes: %v", n, len(good), err)
		}
		if g.Recovered() == nil || !strings.Contains(g.Recovered().Error(), gallery.BackupPath(path)) || len(g.Entries()) != 3 {
			t.Fatalf("first %d of %d bytes: %v, %v", n, len(good), g.Recovered(), g.Entries())
		}
	}
	g, err := gallery.Load(path, model)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := g.Encode(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("not the content before: %v", err)
	}
	if err := errors.Join(g.Rename("mug", "Cup"), g.Save(path)); err != nil {
		t.Fatal(err)
	}
	if damaged, err := os.ReadFile(path + ".damaged"); err != nil || !bytes.Equal(damaged, good[:len(good)-1]) {
		t.Errorf("the damaged file is not kept: %v", err)
	}
	if err := os.WriteFile(path, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if g, err = gallery.Load(path, model); err != nil || len(g.Entries()) != 3 {
		t.Errorf("the copy was overwritten by a damaged file: %v", err)
	}
	if err := os.WriteFile(gallery.BackupPath(path), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := gallery.Load(path, model); !errors.Is(err, gallery.ErrCorrupt) || !strings.Contains(err.Error(), path) {
		t.Errorf("both damaged: %v", err)
	}
}

func TestLockIsOneAfterTheOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "my.gallery")
	g, err := gallery.New(model)
	if err := errors.Join(err, g.Save(path)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	for i := range 8 {
		go func() {
			done <- func() error {
				unlock, err := gallery.Lock(t.Context(), path)
				if err != nil {
					return err
				}
				g, err := gallery.Read(path)
				if err != nil {
					return err
				}
				id := fmt.Sprintf("thing-%d", i)
				return errors.Join(g.Enroll(id, id, [][]float32{{1, float32(i), 0, 0}}), g.Save(path), unlock())
			}()
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if g, err = gallery.Read(path); err != nil || len(g.Entries()) != 8 {
		t.Errorf("%d identities of 8 are there (%v)", len(g.Entries()), err)
	}
}

func TestFileRoundTrip(t *testing.T) {
	g := filled(t)
	if err := g.SetThreshold(0.625); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "my.gallery")
	if err := g.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := gallery.Load(path, model)
	if err != nil {
		t.Fatal(err)
	}
	sameContent(t, g, got)
	other := gallery.Model{Name: "other", SHA256: strings.Repeat("cd", 32), Dim: 4}
	_, err = gallery.Load(path, other)
	if !errors.Is(err, gallery.ErrWrongModel) || !strings.Contains(err.Error(), `"small"`) || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("with another model: %v", err)
	}
	if _, err := gallery.Load(filepath.Join(t.TempDir(), "none"), model); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := gallery.Load(t.TempDir(), model); !errors.Is(err, gallery.ErrCorrupt) {
		t.Errorf("a folder: %v", err)
	}
}

func TestEveryPrefixAndEveryBitFlipIsRefused(t *testing.T) {
	data, err := pictured(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for n := range data {
		if _, err := gallery.Decode(data[:n]); !errors.Is(err, gallery.ErrCorrupt) {
			t.Fatalf("first %d of %d bytes: %v", n, len(data), err)
		}
	}
	if _, err := gallery.Decode(append(bytes.Clone(data), 0)); !errors.Is(err, gallery.ErrCorrupt) {
		t.Errorf("a byte more: %v", err)
	}
	for i := range data {
		for bit := range 8 {
			flipped := bytes.Clone(data)
			flipped[i] ^= 1 << bit
			if _, err := gallery.Decode(flipped); !errors.Is(err, gallery.ErrCorrupt) {
				t.Fatalf("bit %d of byte %d flipped: %v", bit, i, err)
			}
		}
	}
}

// reseal gives changed content a right checksum, as somebody who means harm would: after the embeddings, which is where the
// header says.
func reseal(data []byte) []byte {
	const start = 12
	if len(data) < start+4 {
		return data
	}
	n := int64(binary.LittleEndian.Uint32(data[8:]))
	var h struct {
		Model      struct{ Dim int64 }
		Identities []struct{ Vectors, Rejected int64 }
	}
	if n > int64(len(data)-start-4) || json.Unmarshal(data[start:start+n], &h) != nil {
		return data
	}
	at := start + n
	for _, e := range h.Identities {
		at += 4 * h.Model.Dim * (e.Vectors + e.Rejected)
	}
	if at < start || at > int64(len(data)-4) {
		return data
	}
	data = bytes.Clone(data)
	binary.LittleEndian.PutUint32(data[at:], crc32.Checksum(data[:at], crc32.MakeTable(crc32.Castagnoli)))
	return data
}

func TestHostileFilesWithRightChecksum(t *testing.T) {
	good, _ := pictured(t).Encode()
	tests := []struct{ name, old, new, want string }{
		{"other version", `"version":2`, `"version":3`, "version 3"},
		{"zero dim", `"dim":4`, `"dim":0`, "embeddings of 0 values"},
		{"larger dim", `"dim":4`, `"dim":8`, "announces"},
		{"negative count", `"vectors":1,`, `"vectors":-,`, "header"},
		{"zero count", `"vectors":1,`, `"vectors":0,`, "has 0 embeddings"},
		{"more vectors", `"vectors":1,`, `"vectors":9,`, "tells of"},
		{"bad id", `"id":"mug"`, `"id":"m/g"`, "bad id"},
		{"same id twice", `"id":"mug","name":"Mug"`, `"id":"pear","name":"Mu"`, "there twice"},
		{"threshold", `"threshold":0.625`, `"threshold":9.625`, "threshold 9.625"},
		{"own threshold", `"threshold":0.75`, `"threshold":7.75`, "threshold 7.75"},
		{"number twice", `{"id":2}`, `{"id":3}`, "there twice"},
		{"number not yet given", `{"id":2}`, `{"id":9}`, "there twice, or its number is none"},
		{"larger picture", `"crop":19`, `"crop":29`, "announces"},
		{"huge picture", `"crop":19`, `"crop":99999`, "at most 32768"},
		{"negative picture", `"crop":19`, `"crop":-9`, "at most 32768"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !bytes.Contains(good, []byte(tt.old)) {
				t.Fatalf("the file does not hold %q:\n%q", tt.old, good)
			}
			changed := bytes.Replace(bytes.Clone(good), []byte(tt.old), []byte(tt.new), 1)
			binary.LittleEndian.PutUint32(changed[8:], binary.LittleEndian.Uint32(changed[8:])+uint32(len(tt.new)-len(tt.old)))
			_, err := gallery.Decode(reseal(changed))
			if !errors.Is(err, gallery.ErrCorrupt) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v does not say %q", err, tt.want)
			}
		})
	}
	infinite, _ := filled(t).Encode()
	binary.LittleEndian.PutUint32(infinite[len(infinite)-8:], math.Float32bits(float32(math.Inf(1))))
	if _, err := gallery.Decode(reseal(infinite)); !errors.Is(err, gallery.ErrCorrupt) || !strings.Contains(err.Error(), "length 1") {
		t.Errorf("infinite embedding: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	good, _ := filled(f).Encode()
	f.Add(good)
	f.Add(version1(f))
	full, _ := pictured(f).Encode()
	f.Add(full)
	empty, _ := gallery.New(model)
	data, _ := empty.Encode()
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		data = reseal(data)
		g, err := gallery.Decode(data)
		if err != nil {
			if !errors.Is(err, gallery.ErrCorrupt) {
				t.Fatalf("error is not ErrCorrupt: %v", err)
			}
			return
		}
		again, err := g.Encode()
		if err != nil {
			t.Fatal(err)
		}
		g2, err := gallery.Decode(again)
		if err != nil {
			t.Fatalf("what was accepted cannot be read back: %v", err)
		}
		sameContent(t, g, g2)
		m, err := gallery.NewMatcher(g, 3, 0)
		if err != nil {
			t.Fatal(err)
		}
		q := make([]float32, g.Model().Dim)
		q[0] = 1
		m.Match(q)
	})
}
