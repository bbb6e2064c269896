package vision

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func encoded(t testing.TB, f Frame, png bool) []byte {
	t.Helper()
	var b bytes.Buffer
	err := EncodeJPEG(&b, f, 95)
	if png {
		b.Reset()
		err = EncodePNG(&b, f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecodePNGIsExact(t *testing.T) {
	f := noise(31, 17, 1)
	got, err := Decode(bytes.NewReader(encoded(t, f, true)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, got); diff != "" {
		t.Error(diff)
	}
}

// quarters is 32×16 with a colour for each quarter, far apart so that JPEG cannot mix them up.
func quarters() Frame {
	f := NewFrame(32, 16)
	for y := range f.Height {
		for x := range f.Width {
			px := f.Pix[3*(y*f.Width+x):]
			if x < 16 {
				px[0] = 200
			}
			if y < 8 {
				px[1] = 200
			}
		}
	}
	return f
}

// withOrientation puts an EXIF block with that orientation, in that byte order, into a JPEG file.
func withOrientation(file []byte, orientation uint16, order binary.AppendByteOrder) []byte {
	tiff := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		tiff = []byte("MM\x00*")
	}
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 2)
	tiff = append(order.AppendUint32(order.AppendUint16(order.AppendUint16(tiff, 0x010f), 2), 1), "a\x00\x00\x00"...)
	tiff = order.AppendUint32(order.AppendUint16(order.AppendUint16(tiff, 0x0112), 3), 1)
	tiff = append(order.AppendUint16(tiff, orientation), 0, 0, 0, 0, 0, 0)
	segment := append([]byte("Exif\x00\x00"), tiff...)
	out := append([]byte{0xff, 0xd8, 0xff, 0xe1}, binary.BigEndian.AppendUint16(nil, uint16(len(segment)+2))...)
	return append(append(out, segment...), file[2:]...)
}

func TestDecodeTurnsThePicture(t *testing.T) {
	file := encoded(t, quarters(), false)
	// Colours as they stand in the quarters: upper left, upper right, lower left, lower right.
	for orientation, want := range map[uint16]string{
		0: "Y G R K", 1: "Y G R K", 2: "G Y K R", 3: "K R G Y", 4: "R K Y G",
		5: "Y R G K", 6: "R Y K G", 7: "K G R Y", 8: "G K Y R", 9: "Y G R K",
	} {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			f, err := DecodeBytes(withOrientation(file, orientation, order))
			if err != nil {
				t.Fatal(err)
			}
			if tall := orientation >= 5 && orientation <= 8; tall != (f.Height > f.Width) {
				t.Errorf("orientation %d: %d×%d", orientation, f.Width, f.Height)
			}
			var got []string
			for _, y := range []int{f.Height / 4, 3 * f.Height / 4} {
				for _, x := range []int{f.Width / 4, 3 * f.Width / 4} {
					px := f.Pix[3*(y*f.Width+x):]
					got = append(got, map[[2]bool]string{
						{true, true}: "Y", {false, true}: "G", {true, false}: "R", {false, false}: "K",
					}[[2]bool{px[0] > 100, px[1] > 100}])
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("orientation %d: %v, want %s", orientation, got, want)
			}
		}
	}
}

// Pixels by hand, since large quarters cannot show a row or column that is off by one.
func TestOrient(t *testing.T) {
	f := Frame{Width: 2, Height: 3}
	for _, c := range []byte("abcdef") {
		f.Pix = append(f.Pix, c, c, c)
	}
	for orientation, want := range []string{1: "abcdef", "badcfe", "fedcba", "efcdab", "acebdf", "ecafdb", "fdbeca", "bdface"} {
		if orientation == 0 {
			continue
		}
		out := orient(f, orientation)
		got := ""
		for i := 0; i < len(out.Pix); i += 3 {
			got += string(out.Pix[i : i+1])
		}
		if got != want {
			t.Errorf("orientation %d: %s, want %s", orientation, got, want)
		}
	}
}

func TestDecodeRefusals(t *testing.T) {
	jpeg, png := encoded(t, quarters(), false), encoded(t, quarters(), true)
	for _, tc := range []struct {
		name string
		data []byte
		want error // nil: any
	}{
		{"empty", nil, ErrFormat},
		{"text", []byte("not a picture"), ErrFormat},
		{"jpeg cut", jpeg[:len(jpeg)/2], nil},
		{"jpeg header only", jpeg[:2], nil},
		{"png cut", png[:len(png)/2], nil},
		{"huge png", resizedPNG(png, 20_000, 20_000), ErrTooLarge},
		{"larger than any int32", resizedPNG(png, 1<<31-1, 1<<31-1), nil},
		{"huge jpeg", resizedJPEG(jpeg, 65_500, 65_500), ErrTooLarge},
	} {
		f, err := DecodeBytes(tc.data)
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: frame %d×%d, error %v, want %v", tc.name, f.Width, f.Height, err, tc.want)
		}
	}
}

// resizedPNG rewrites the size in the header and its checksum.
func resizedPNG(file []byte, width, height uint32) []byte {
	out := append([]byte(nil), file...)
	binary.BigEndian.PutUint32(out[16:], width)
	binary.BigEndian.PutUint32(out[20:], height)
	binary.BigEndian.PutUint32(out[29:], crc32.ChecksumIEEE(out[12:29]))
	return out
}

// resizedJPEG rewrites the size in the start-of-frame segment.
func resizedJPEG(file []byte, width, height uint16) []byte {
	out := append([]byte(nil), file...)
	at := bytes.Index(out, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(out[at+5:], height)
	binary.BigEndian.PutUint16(out[at+7:], width)
	return out
}

func TestDecodeFileNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shelf.jpg")
	if _, err := DecodeFile(path); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("absent: %v", err)
	}
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeFile(path); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), path) {
		t.Errorf("text: %v", err)
	}
}

func TestEncodeRefusals(t *testing.T) {
	for name, err := range map[string]error{
		"quality 0":   EncodeJPEG(&bytes.Buffer{}, quarters(), 0),
		"quality 101": EncodeJPEG(&bytes.Buffer{}, quarters(), 101),
		"no pixels":   EncodeJPEG(&bytes.Buffer{}, Frame{}, 90),
		"png":         EncodePNG(&bytes.Buffer{}, Frame{Width: 2, Height: 2}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Any bytes give a valid frame or an error, never a panic.
func FuzzDecode(f *testing.F) {
	small := quarters()
	jpeg := encoded(f, small, false)
	f.Add(jpeg)
	f.Add(encoded(f, small, true))
	f.Add(withOrientation(jpeg, 6, binary.LittleEndian))
	f.Add(withOrientation(jpeg, 8, binary.BigEndian))
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x08Exif\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := DecodeBytes(data)
		if err == nil {
			err = frame.Validate()
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// The walk over the metadata sees bytes that the JPEG decoder has not judged.
func FuzzEXIF(f *testing.F) {
	f.Add(withOrientation([]byte{0xff, 0xd8, 0xff, 0xd9}, 3, binary.LittleEndian))
	f.Fuzz(func(t *testing.T, data []byte) {
		if o := exifOrientation(data); o < upright || o > turnedLeft {
			t.Errorf("orientation %d", o)
		}
	})
}
