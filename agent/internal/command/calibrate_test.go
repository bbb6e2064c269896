package command_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/internal/gallery"
	"xbmedge/internal/npy"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflite"
)

// madeGallery is a file with a cup and a pen, of a model that nobody needs to have.
func madeGallery(t *testing.T) (path, background string) {
	t.Helper()
	dir := t.TempDir()
	path, background = filepath.Join(dir, "g.gallery"), filepath.Join(dir, "b.npy")
	g, err := gallery.New(gallery.Model{Name: "m", SHA256: strings.Repeat("ab", 32), Dim: 3})
	if err := errors.Join(err, g.Enroll("cup", "Cup", [][]float32{{1, 0, 0}, {1, 0.1, 0}}), g.Enroll("pen", "Pen", [][]float32{{0, 1, 0}, {0, 1, 0.1}}),
		g.Save(path)); err != nil {
		t.Fatal(err)
	}
	var rows []float32
	for i := range 200 {
		rows = append(rows, 0.5, float32(i)/400, 2)
	}
	rows = append(rows, 0, 0, 0) // of a picture that the model has nothing to say about
	var file bytes.Buffer
	if err := errors.Join(npy.WriteMatrix(&file, 3, rows), os.WriteFile(background, file.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path, background
}

func TestCalibrate(t *testing.T) {
	path, background := madeGallery(t)
	page := filepath.Join(t.TempDir(), "report.html")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "calibrate", "--gallery", path, "--background", background, "--far", "0.01", "--html", page, "--dry-run", "--json")
	var report struct {
		Threshold  float32
		Background int
		Supported  float64
		ROC        []struct{ FAR float64 }
	}
	if err := errors.Join(err, json.Unmarshal([]byte(out), &report)); err != nil || report.Background != 200 || len(report.ROC) == 0 {
		t.Errorf("%v\n%s", err, out)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("--dry-run changed the gallery")
	}
	if text, err := os.ReadFile(page); err != nil || !bytes.Contains(text, []byte("<svg")) {
		t.Errorf("the page: %v", err)
	}
	if out, err = run(t, "calibrate", "--gallery", path, "--background", background, "--far", "0.001"); err != nil || !strings.Contains(out, "too few to show a rate of 0.001") {
		t.Errorf("%s, %v", out, err)
	}
	g, err := gallery.Read(path)
	if err != nil || g.Calibration() == nil || g.Calibration().Asked != 0.001 || g.Threshold() < report.Threshold {
		t.Errorf("%+v, %v", g.Calibration(), err)
	}
	if out, err := run(t, "gallery", "stats", "--gallery", path); err != nil || !strings.Contains(out, `"asked": 0.001`) {
		t.Errorf("%s, %v", out, err)
	}
	for want, args := range map[string][]string{
		"needs a --model":        {"--background", filepath.Dir(path)},
		"neither a folder nor":   {"--background", path},
		"no such file":           {"--background", path + "x"},
		"without --background":   {"--save-background", page},
		"false accept rate":      {"--far", "2"},
		"there is no folder":     {"--html", "/nonexistent/x.html"},
		`"now" is not a flag`:    {"now"},
		"rows of 2 values, the ": {"--background", narrow(t)},
	} {
		if _, err := run(t, append([]string{"calibrate", "--gallery", path}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}

func narrow(t *testing.T) string {
	t.Helper()
	var file bytes.Buffer
	path := filepath.Join(t.TempDir(), "narrow.npy")
	if err := errors.Join(npy.WriteMatrix(&file, 2, []float32{1, 0}), os.WriteFile(path, file.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestGalleryCommandsAtRest(t *testing.T) {
	path, _ := madeGallery(t)
	at := func(args ...string) (string, error) {
		t.Helper()
		return run(t, append(append([]string{"gallery", args[0], "--control", "none", "--gallery", path}, args[1:]...), nil...)...)
	}
	row := filepath.Join(t.TempDir(), "row.npy")
	var file bytes.Buffer
	if err := errors.Join(npy.WriteMatrix(&file, 3, []float32{0.7, 0, 0.7}), os.WriteFile(row, file.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy.gallery")
	for _, step := range []struct {
		args []string
		want string // in the output, or of the error
		good bool
	}{
		{[]string{"rename", "cup", "Mug"}, "cup renamed", true},
		{[]string{"rename", "cup", "a/b"}, "path separator", false},
		{[]string{"reject", "--as", "cup", row}, "counter-example 5 of cup", true},
		{[]string{"threshold", "cup", "0.8"}, "threshold of cup set", true},
		{[]string{"threshold", "0.6"}, "threshold 0.600", true},
		{[]string{"threshold", "high"}, "no cosine", false},
		{[]string{"reject", "--as", "cup", "1795593600.123456-abcdef"}, "only an agent that runs", false},
		{[]string{"unreject", "5"}, "taken back", true},
		{[]string{"unreject", "5"}, "no such embedding", false},
		{[]string{"forget", "1"}, "3 embeddings are left", true},
		{[]string{"forget", "2"}, "the only one of cup", false},
		{[]string{"rm", "nobody"}, "not enrolled", false},
		{[]string{"merge", "pen", "cup"}, "merged into pen", true},
		{[]string{"merge", "pen"}, "at least two", false},
		{[]string{"reembed", "--model", "/nonexistent"}, "/nonexistent", false},
	} {
		if step.args[0] == "reembed" && tflite.Available() != nil {
			continue
		}
		out, err := at(step.args...)
		if step.good && (err != nil || !strings.Contains(out, step.want)) || !step.good && (err == nil || !strings.Contains(err.Error(), step.want)) {
			t.Errorf("%v: %q, %v; want %q", step.args, out, err, step.want)
		}
	}
	for _, args := range [][]string{
		{"show", "--gallery", path, "pen"},
		{"verify", "--gallery", path},
		{"list", "--gallery", path},
		{"export", "--gallery", path, copied},
		{"import", "--control", "none", "--gallery", path, copied},
	} {
		if _, err := run(t, append([]string{"gallery"}, args...)...); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data[:len(data)/2], 0o600); err != nil { // a card that dies
		t.Fatal(err)
	}
	if out, err := run(t, "gallery", "list", "--gallery", path); err != nil || !strings.Contains(out, "pen") {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := run(t, "gallery", "verify", "--gallery", path); err == nil || !strings.Contains(err.Error(), "state before the last change") {
		t.Errorf("a damaged file is whole: %v", err)
	}
}

func TestImportRefusesAnotherModel(t *testing.T) {
	path, _ := madeGallery(t)
	g, err := gallery.New(gallery.Model{Name: "other", SHA256: strings.Repeat("cd", 32), Dim: 3})
	other := filepath.Join(t.TempDir(), "other.gallery")
	if err := errors.Join(err, g.Enroll("a", "A", [][]float32{{1, 0, 0}}), g.Save(other)); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, "gallery", "import", "--control", "none", "--gallery", path, other); !errors.Is(err, gallery.ErrWrongModel) {
		t.Errorf("%v", err)
	}
}

// Of many folders one cannot be read: the others are enrolled, and the end says which was not.
func TestEnrollBesideAnUnreadableFolder(t *testing.T) {
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
	if os.Geteuid() == 0 {
		t.Skip("root reads every folder")
	}
	model := testdata.File(t, "tflite/mobilenet_v1_0.25_float.tflite")
	grocery := testdata.Dir(t, "grocery")
	dir := t.TempDir()
	if err := errors.Join(os.Symlink(filepath.Join(grocery, "train", "Banana"), filepath.Join(dir, "Banana")), os.Mkdir(filepath.Join(dir, "Closed"), 0)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "g.gallery")
	_, err := run(t, "enroll", "--control", "none", "--model", model, "--gallery", path, "--dir", dir)
	if err == nil || !strings.Contains(err.Error(), "Closed") || !strings.Contains(err.Error(), "all others are enrolled") {
		t.Errorf("%v", err)
	}
	if g, err := gallery.Read(path); err != nil || len(g.Entries()) != 1 {
		t.Errorf("the other is not enrolled: %v", err)
	}
}
