package npy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/testdata"
)

// file writes a .npy file of a version, with this header and values in that byte order.
func file(t *testing.T, version byte, header string, order binary.ByteOrder, values any) string {
	t.Helper()
	var b bytes.Buffer
	b.WriteString(magic)
	b.Write([]byte{version, 0})
	if version == 1 {
		_ = binary.Write(&b, binary.LittleEndian, uint16(len(header)))
	} else {
		_ = binary.Write(&b, binary.LittleEndian, uint32(len(header)))
	}
	b.WriteString(header)
	if err := binary.Write(&b, order, values); err != nil {
		t.Fatal(err)
	}
	return keep(t, b.Bytes())
}

func keep(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.npy")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func dict(descr, fortran, shape string) string {
	return fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }  \n", descr, fortran, shape)
}

func TestReadMatrix(t *testing.T) {
	little, big := binary.LittleEndian, binary.BigEndian
	for _, tc := range []struct {
		name string
		path string
		want []float32 // [2][3]
	}{
		{"float32", file(t, 1, dict("<f4", "False", "(2, 3)"), little, []float32{1, -2, 3, 4, 5, 6.5}), []float32{1, -2, 3, 4, 5, 6.5}},
		{"version 2", file(t, 2, dict("<f4", "False", "(2, 3)"), little, []float32{1, 2, 3, 4, 5, 6}), []float32{1, 2, 3, 4, 5, 6}},
		{"Python 2", file(t, 1, dict("<f4", "False", "(2L, 3L)"), little, []float32{1, 2, 3, 4, 5, 6}), []float32{1, 2, 3, 4, 5, 6}},
		{"float64, big endian", file(t, 3, dict(">f8", "False", "(2, 3)"), big, []float64{1, 2, 3, 4, 5, -6}), []float32{1, 2, 3, 4, 5, -6}},
		{"Fortran", file(t, 1, dict("<f4", "True", "(2, 3)"), little, []float32{1, 4, 2, 5, 3, 6}), []float32{1, 2, 3, 4, 5, 6}},
		{
			"float16", file(t, 1, dict("<f2", "False", "(2, 3)"), little, []uint16{0x3c00, 0xc000, 0x3555, 0x0001, 0x7bff, 0x8000}),
			[]float32{1, -2, 0.33325195, 5.9604645e-08, 65504, 0},
		},
		{"int8", file(t, 1, dict("|i1", "False", "(2, 3)"), little, []int8{1, -128, 127, 0, -1, 5}), []float32{1, -128, 127, 0, -1, 5}},
		{"uint8", file(t, 1, dict("|u1", "False", "(2, 3)"), little, []uint8{1, 255, 127, 0, 1, 5}), []float32{1, 255, 127, 0, 1, 5}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rows, columns, got, err := ReadMatrix(tc.path)
			if err != nil || rows != 2 || columns != 3 {
				t.Fatalf("%d×%d, %v", rows, columns, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHalf(t *testing.T) {
	for bits, want := range map[uint16]float64{
		0x7c00: math.Inf(1), 0xfc00: math.Inf(-1), 0x03ff: 1023.0 / (1 << 24), 0x83ff: -1023.0 / (1 << 24), 0x0400: 1.0 / (1 << 14),
	} {
		if got := float64(half(bits)); got != want {
			t.Errorf("%#04x is %g, want %g", bits, got, want)
		}
	}
	if nan := half(0x7e00); nan == nan {
		t.Errorf("%g, want no number", nan)
	}
}

func TestReadLabels(t *testing.T) {
	little := binary.LittleEndian
	for _, tc := range []struct {
		name string
		path string
		want []int
	}{
		{"int64", file(t, 1, dict("<i8", "False", "(3,)"), little, []int64{0, -1, math.MaxInt32}), []int{0, -1, math.MaxInt32}},
		{"int16, a column", file(t, 1, dict("<i2", "False", "(3, 1)"), little, []int16{0, -300, 7}), []int{0, -300, 7}},
		{"uint32", file(t, 1, dict("<u4", "False", "(3,)"), little, []uint32{0, math.MaxInt32, 7}), []int{0, math.MaxInt32, 7}},
		{"big endian, a row", file(t, 1, dict(">i4", "True", "(1, 3)"), binary.BigEndian, []int32{0, -3, 7}), []int{0, -3, 7}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ReadLabels(tc.path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	little := binary.LittleEndian
	huge := append([]byte(magic), 2, 0, 0xff, 0xff, 0xff, 0xff)
	for _, tc := range []struct{ name, path, want string }{
		{"absent", filepath.Join(t.TempDir(), "none.npy"), "none.npy"},
		{"a folder", t.TempDir(), "no file"},
		{"empty", keep(t, nil), "numpy.save"},
		{"other file", keep(t, []byte("PK\x03\x04 a zip archive")), "numpy.save"},
		{"version 9", file(t, 9, dict("<f4", "False", "(1, 1)"), little, []float32{1}), "version 9.0"},
		{"header too long", keep(t, huge), "claims"},
		{"ends in its header", keep(t, append([]byte(magic), 1, 0, 200, 0, '{')), "within its header"},
		{"ends in its length", keep(t, append([]byte(magic), 1, 0, 200)), "within its header"},
		{"no dictionary", file(t, 1, "{}", little, []float32{1}), "no plain array"},
		{"records", file(t, 1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", little, []float32{1}), "no plain array"},
		{"complex", file(t, 1, dict("<c8", "False", "(1, 1)"), little, []float32{1, 1}), `"<c8"`},
		{"objects", file(t, 1, dict("|O", "False", "(1, 1)"), little, []float32{1}), `"|O"`},
		{"shape of letters", file(t, 1, dict("<f4", "False", "(a, 1)"), little, []float32{1}), "is none"},
		{"negative", file(t, 1, dict("<f4", "False", "(-1, 1)"), little, []float32{1}), "is none"},
		{"more than memory", file(t, 1, dict("<f4", "False", "(4611686018427387904, 4)"), little, []float32{1}), "is none"},
		{"more than the file", file(t, 1, dict("<f4", "False", "(100000000, 128)"), little, []float32{1}), "cut off"},
		{"less than the file", file(t, 1, dict("<f4", "False", "(1, 1)"), little, []float32{1, 2}), "cut off"},
		{"one dimension", file(t, 1, dict("<f4", "False", "(2,)"), little, []float32{1, 2}), "two dimensions"},
	} {
		if _, _, _, err := ReadMatrix(tc.path); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
	for _, tc := range []struct{ name, path, want string }{
		{"float", file(t, 1, dict("<f8", "False", "(1,)"), little, []float64{1}), "must be integers"},
		{"a matrix", file(t, 1, dict("<i4", "False", "(2, 2)"), little, []int32{1, 2, 3, 4}), "one dimension"},
		{"too large", file(t, 1, dict("<u8", "False", "(1,)"), little, []uint64{1 << 63}), "larger"},
	} {
		if _, err := ReadLabels(tc.path); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("labels, %s: %v, want %q", tc.name, err, tc.want)
		}
	}
	if err := WriteBytes(&bytes.Buffer{}, []int{2, 3}, make([]byte, 5)); err == nil {
		t.Error("5 bytes made an array of 2×3")
	}
	if err := WriteMatrix(&bytes.Buffer{}, 2, make([]float32, 3)); err == nil {
		t.Error("a ragged matrix was written")
	}
}

func TestWriteMatrix(t *testing.T) {
	for rows := range 12 { // of which 10 and 11 lengthen the header
		data := make([]float32, rows*3)
		for i := range data {
			data[i] = float32(i) / 3
		}
		var b bytes.Buffer
		if err := WriteMatrix(&b, 3, data); err != nil {
			t.Fatal(err)
		}
		if start := b.Len() - 4*len(data); start%64 != 0 || b.Bytes()[start-1] != '\n' {
			t.Errorf("%d rows: the values begin at %d", rows, start)
		}
		r, c, got, err := ReadMatrix(keep(t, b.Bytes()))
		if err != nil || r != rows || c != 3 {
			t.Fatalf("%d×%d, %v", r, c, err)
		}
		if diff := cmp.Diff(data, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestNumPyReads gives what we write to NumPy itself.
func TestNumPyReads(t *testing.T) {
	python := filepath.Join(testdata.Root(t), "build", "testbench", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Skip("needs build/testbench, whose NumPy reads our files: run scripts/testbench.sh")
	}
	var matrix, pixels bytes.Buffer
	if err := WriteMatrix(&matrix, 2, []float32{1, 2, 3, 4.5, -1, 0}); err != nil {
		t.Fatal(err)
	}
	if err := WriteBytes(&pixels, []int{2, 1, 3}, []byte{0, 1, 255}, []byte{3, 4, 5}); err != nil {
		t.Fatal(err)
	}
	script := "import numpy, sys\nfor a in map(numpy.load, sys.argv[1:]): print(a.dtype, a.shape, a.tolist())"
	out, err := exec.Command(python, "-c", script, keep(t, matrix.Bytes()), keep(t, pixels.Bytes())).Output()
	if err != nil {
		e := &exec.ExitError{}
		if errors.As(err, &e) {
			t.Fatalf("NumPy: %v\n%s", err, e.Stderr)
		}
		t.Fatal(err)
	}
	if diff := cmp.Diff("float32 (3, 2) [[1.0, 2.0], [3.0, 4.5], [-1.0, 0.0]]\nuint8 (2, 1, 3) [[[0, 1, 255]], [[3, 4, 5]]]\n", string(out)); diff != "" {
		t.Error(diff)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(magic))
	f.Add(append(append([]byte(magic), 1, 0, 60, 0), dict("<f4", "False", "(1, 1)")...))
	path := filepath.Join(f.TempDir(), "a.npy")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		rows, columns, data, err := ReadMatrix(path)
		if err == nil && len(data) != rows*columns {
			t.Errorf("%d values in %d×%d", len(data), rows, columns)
		}
		if _, err := ReadLabels(path); err != nil && err.Error() == "" {
			t.Error("an error that says nothing")
		}
	})
}
