package testdata

import (
	"bytes"
	"encoding/json"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"xbmedge/internal/vision"
)

// Reference is one photo with part of the feature that ONNX Runtime computes for it with the pretrained MobileNetV2.
type Reference struct {
	Photo   string
	Crop    vision.Frame // the 224×224 pixels the feature was computed on
	Norm    float64      // of the whole feature, 1280 values
	First16 []float64
	// Tolerance is the difference, relative to Norm, that a right forward pass stays within. It is 1e-4 where libjpeg's
	// djpeg decodes the photo, as it did for the reference. Go's decoder rounds one pixel in forty the other way, which
	// is worth up to 1.01e-3.
	Tolerance float64
}

// References returns the reference photos, and skips the test without the shared data.
func References(t testing.TB) []Reference {
	t.Helper()
	raw, err := os.ReadFile(File(t, "mobilenetv2/reference.json"))
	if err != nil {
		t.Fatal(err)
	}
	var entries []struct {
		Image   string    `json:"image"`
		Norm    float64   `json:"l2_norm"`
		First16 []float64 `json:"first16"`
	}
	if err := json.Unmarshal(raw, &entries); err != nil {
		t.Fatal(err)
	}
	if len(entries) == 0 {
		t.Fatal("reference.json names no photo")
	}
	refs := make([]Reference, len(entries))
	for i, e := range entries {
		refs[i] = Reference{Photo: e.Image, Norm: e.Norm, First16: e.First16}
		photo, exact := decode(t, File(t, e.Image))
		refs[i].Tolerance = 1.1e-3
		if exact {
			refs[i].Tolerance = 1e-4
		}
		if refs[i].Crop, err = photo.Crop(image.Rect(62, 62, 62+224, 62+224)); err != nil {
			t.Fatal(err)
		}
	}
	return refs
}

// decode reads a photo with djpeg where it is installed, which is exact, or else with this project's own decoder.
func decode(t testing.TB, path string) (photo vision.Frame, exact bool) {
	t.Helper()
	if djpeg, err := exec.LookPath("djpeg"); err == nil {
		ppm, err := exec.Command(djpeg, "-ppm", filepath.Clean(path)).Output()
		if err != nil {
			t.Fatalf("djpeg %s: %v", path, err)
		}
		return parsePPM(t, ppm), true
	}
	photo, err := vision.DecodeFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return photo, false
}

func parsePPM(t testing.TB, raw []byte) vision.Frame {
	t.Helper()
	fields := bytes.Fields(raw[:min(len(raw), 64)])
	var f vision.Frame
	if len(fields) < 4 || string(fields[0]) != "P6" || string(fields[3]) != "255" ||
		json.Unmarshal(fields[1], &f.Width) != nil || json.Unmarshal(fields[2], &f.Height) != nil {
		t.Fatalf("djpeg wrote no PPM picture: %q", raw[:min(len(raw), 20)])
	}
	f.Pix = raw[len(raw)-3*f.Width*f.Height:]
	return f
}
