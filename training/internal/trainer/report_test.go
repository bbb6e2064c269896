package trainer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/nn"
	"xbmedge/internal/retrieval"
	"xbmedge/training/internal/report"
)

// trainedRun is a finished run over data of its own.
func trainedRun(t *testing.T, cfg Config) (run, data string, result *Result) {
	t.Helper()
	needTFLite(t)
	data, run = drawings(t, 6, 8), filepath.Join(t.TempDir(), "run")
	result, err := Start(t.Context(), Description{Data: data, Config: cfg}, run, &silent{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return run, data, result
}

// gather returns what the report of a run is made of.
func gather(t *testing.T, run, data string) *report.Input {
	t.Helper()
	d, err := ReadDescription(run)
	if err != nil {
		t.Fatal(err)
	}
	net, w, err := nn.ReadNetwork(run)
	if err != nil {
		t.Fatal(err)
	}
	model, err := floatModel(net, w)
	if err != nil {
		t.Fatal(err)
	}
	e, err := folder(run).environment()
	if err != nil {
		t.Fatal(err)
	}
	in := &report.Input{}
	r := &reporting{ctx: t.Context(), model: model, cfg: &d.Config, trained: e, in: in, log: slog.New(slog.DiscardHandler)}
	if err := r.photos(data); err != nil {
		t.Fatal(err)
	}
	return in
}

// TestReportMeasuresWhatTrainingDid: the same photos are held back, and the best checkpoint finds as many.
func TestReportMeasuresWhatTrainingDid(t *testing.T) {
	cfg := smallConfig()
	cfg.Network.Size = 24 // as the photos: training would resize them twice
	run, data, result := trainedRun(t, cfg)
	in := gather(t, run, data)
	found, err := retrieval.Evaluate(t.Context(), in.Queries.Embeddings, in.Queries.Labels, in.Gallery.Embeddings, in.Gallery.Labels,
		retrieval.Options{Ks: []int{1, 5}})
	if err != nil {
		t.Fatal(err)
	}
	recall, mAP := found.Recall, found.MAP
	if best := result.Best; math.Abs(mAP-best.MAP) > 1e-6 || math.Abs(recall[0]-best.RecallAt1) > 1e-9 || math.Abs(recall[1]-best.RecallAt5) > 1e-9 {
		t.Errorf("recall@1 %.4f, recall@5 %.4f, mAP %.4f; training measured %.4f, %.4f, %.4f",
			recall[0], recall[1], mAP, best.RecallAt1, best.RecallAt5, best.MAP)
	}
	if in.Queries.Len() != 12 || in.Gallery.Len() != 36 || len(in.Classes) != 6 || in.LeaveOneOut {
		t.Errorf("%d queries, %d photos to find, %d classes", in.Queries.Len(), in.Gallery.Len(), len(in.Classes))
	}
	page := readFile(t, filepath.Join(run, ReportFile))
	for _, want := range []string{"<h1>run</h1>", "smallcnn, 24×24 pixels, 8-d embedding", "48 in 6 classes", "held back from training", "class05"} {
		if !strings.Contains(page, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	again := filepath.Join(t.TempDir(), "again.html")
	if err := Report(t.Context(), run, "", again, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if readFile(t, again) != page {
		t.Error("a second report of the same run differs")
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestReportProtocols: what is searched where depends on the folders, and is said.
func TestReportProtocols(t *testing.T) {
	cfg := smallConfig()
	run, data, _ := trainedRun(t, cfg)
	move := func(from, to string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o750), os.Rename(from, to)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(protocol string, queries, gallery int, leaveOneOut bool) {
		t.Helper()
		in := gather(t, run, data)
		if in.Queries.Len() != queries || in.Gallery.Len() != gallery || in.LeaveOneOut != leaveOneOut || !strings.Contains(in.Protocol, protocol) {
			t.Errorf("%d queries, %d photos, leave one out %v, %q; want %d, %d, %v, %q", in.Queries.Len(), in.Gallery.Len(),
				in.LeaveOneOut, in.Protocol, queries, gallery, leaveOneOut, protocol)
		}
		for _, s := range []report.Set{in.Queries, in.Gallery} {
			for i, l := range s.Labels {
				if in.Classes[l] != s.Photos[i].Class {
					t.Fatalf("%s has the label of %s", s.Photos[i].Path, in.Classes[l])
				}
			}
		}
	}
	train, test := filepath.Join(data, "train"), filepath.Join(data, "test")
	if err := os.WriteFile(filepath.Join(train, "class00", "broken.png"), []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	check("held back", 12, 36, false)
	if notes := gather(t, run, data).Notes; len(notes) != 1 || !strings.Contains(notes[0], "1 photos cannot be read") {
		t.Errorf("notes %q", notes)
	}
	// Once more with whole classes held back, of the same photos.
	d, err := ReadDescription(run)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		classes  float64
		protocol string
		queries  int
	}{{2, "classes held back", 16}, {0, "held back from training looks", 12}} {
		d.Config.Data.HoldoutClasses = c.classes
		if err := atomicfile.WriteJSON(filepath.Join(run, configFile), 0o600, d); err != nil {
			t.Fatal(err)
		}
		if in := gather(t, run, data); in.Queries.Len() != c.queries || !strings.Contains(in.Protocol, c.protocol) {
			t.Errorf("%d queries, %q; want %d, %q", in.Queries.Len(), in.Protocol, c.queries, c.protocol)
		}
	}
	move(filepath.Join(train, "class05"), filepath.Join(test, "class05"))
	check("train/ does not have", 8, 8, true)
	move(filepath.Join(train, "class04", "00.png"), filepath.Join(test, "class04", "00.png"))
	check("among those of train/", 9, 39, false)
	if err := os.RemoveAll(test); err != nil {
		t.Fatal(err)
	}
	check("not the photos of the training", 39, 39, true)
}

// TestReportOnStanfordOnlineProducts: its test half has classes of its own.
func TestReportOnStanfordOnlineProducts(t *testing.T) {
	run, data, _ := trainedRun(t, smallConfig())
	if err := os.Rename(filepath.Join(data, "train"), filepath.Join(data, "things_final")); err != nil {
		t.Fatal(err)
	}
	const header = "image_id class_id super_class_id path\n"
	lists := map[string]string{"Ebay_train.txt": header, "Ebay_test.txt": header}
	for class := range 6 {
		name := []string{"Ebay_train.txt", "Ebay_test.txt"}[class/3]
		for photo := range 4 {
			lists[name] += fmt.Sprintf("%d %d 1 things_final/class%02d/%02d.png\n", 4*class+photo+1, class+1, class, photo)
		}
	}
	for name, text := range lists {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := gather(t, run, data)
	if in.Queries.Len() != 12 || !in.LeaveOneOut || len(in.Classes) != 3 || !strings.Contains(in.Protocol, "test half") {
		t.Errorf("%d queries in %d classes, leave one out %v, %q", in.Queries.Len(), len(in.Classes), in.LeaveOneOut, in.Protocol)
	}
}

func TestReportSaysWhatIsWrong(t *testing.T) {
	run, _, _ := trainedRun(t, smallConfig())
	empty, cut := t.TempDir(), filepath.Join(t.TempDir(), "cut")
	if err := os.CopyFS(cut, os.DirFS(run)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(filepath.Join(cut, "network.json")), os.Remove(filepath.Join(cut, ReportFile))); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		want            string
		ctx             context.Context
		run, data, file string
	}{
		{"holds no run", t.Context(), empty, "", "a.html"},
		{"network.json", t.Context(), cut, "", "b.html"},
		{"there is no ", t.Context(), run, filepath.Join(empty, "none"), "c.html"},
		{"no JPEG or PNG pictures", t.Context(), run, empty, "d.html"},
		{"make it first", t.Context(), run, "", "none/e.html"},
		{context.Canceled.Error(), cancelled, run, "", "f.html"},
	} {
		file := filepath.Join(t.TempDir(), c.file)
		err := Report(c.ctx, c.run, c.data, file, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error saying %q", c.file, err, c.want)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); len(left) > 0 {
			t.Errorf("%s: %v was left behind", c.file, left)
		}
	}
}

// TestRunEndsWellWithoutReport: that none can be written is a warning, which says how to write it.
func TestRunEndsWellWithoutReport(t *testing.T) {
	needTFLite(t)
	run, _ := stoppedRun(t, smallConfig(), 7)
	if err := os.Mkdir(filepath.Join(run, ReportFile), 0o750); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	result, err := Resume(t.Context(), run, "", nil, &silent{}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || result.Steps != 12 {
		t.Fatalf("%v, %+v", err, result)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "xbm-train report") {
		t.Errorf("the log does not say so:\n%s", log.String())
	}
}

// TestReportOfAnOlderRun: without environment.json, and with lines that have fewer figures.
func TestReportOfAnOlderRun(t *testing.T) {
	run, _, _ := trainedRun(t, smallConfig())
	if err := errors.Join(
		os.Remove(filepath.Join(run, environmentFile)),
		atomicfile.WriteBytes(filepath.Join(run, metricsFile), 0o600, []byte(`{"step":6,"loss":1,"map":0.5,"best":true}`+"\n"+`{"st`)),
	); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	if err := Report(t.Context(), run, "", file, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if page := readFile(t, file); strings.Contains(page, "Gradient norm") || !strings.Contains(page, "best checkpoint, step 6.") {
		t.Error("the report shows a gradient norm that nobody recorded, or does not show the step that was")
	}
}
