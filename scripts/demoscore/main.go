// Command demoscore ends the demo: it compares what the agent said of the clip with what the clip shows, and what it
// published with what the subscriber received, and fails where either is below the bounds written here.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/clip"
	"xbmedge/internal/gallery"
	"xbmedge/internal/photos"
)

// Summary is summary.json.
type Summary struct {
	ImagesTrain  int     `json:"images_train"`
	ImagesTest   int     `json:"images_test"`
	RecallFloat  float64 `json:"recall_at_1_float"`
	RecallInt8   float64 `json:"recall_at_1_int8"`
	ModelBytes   int     `json:"model_bytes"`
	TrainSeconds float64 `json:"train_seconds"`
	Frames       int     `json:"frames"`
	Published    int     `json:"published"`
	Received     int     `json:"received"`
	clip.Counts
	LongestWrong int     `json:"longest_wrong_name"` // frames in a row
	Seconds      float64 `json:"seconds"`
}

// bound is what a demo must reach. A view is a stretch of the clip that shows one thing.
type bound struct {
	recall  float64 // float recall@1
	drop    float64 // that int8 may lose
	known   float64 // share of the views of enrolled things under their own name
	unknown float64 // share of the views of strangers called unknown
}

// longestWrong is for how many frames in a row a wrong name may be told.
const longestWrong = 3

var bounds = map[string]bound{
	"synthetic": {recall: 0.95, drop: 0.01, known: 0.9, unknown: 0.9},
	"photos":    {recall: 0.80, drop: 0.01, known: 0.75, unknown: 0.75},
}

func main() { cli.Main("demoscore", cli.Single(command())) }

// scoreFlags is the command line.
type scoreFlags struct {
	clip, dir, data, bounds, out string
	enrolled                     bool
	seconds                      float64
}

func command() cli.Command {
	return cli.Command{
		Name: "demoscore", Summary: "compare what the demo did with what it should",
		Setup: func(f *cli.Flags) cli.Func {
			var o scoreFlags
			f.StringVar(&o.clip, "clip", "", "index `FILE` of the clip")
			f.BoolVar(&o.enrolled, "enrolled", false, "only list the classes the clip shows as enrolled")
			f.StringVar(&o.dir, "dir", "", "`FOLDER` with what the programs of the demo wrote")
			f.StringVar(&o.data, "data", "", "`FOLDER` with train/ and test/")
			f.StringVar(&o.bounds, "bounds", "synthetic", "which `BOUNDS` to hold it to: synthetic or photos")
			f.Float64Var(&o.seconds, "seconds", 0, "`SECONDS` the demo took")
			f.StringVar(&o.out, "out", "", "`FILE` for the summary")
			f.OneOf("bounds", slices.Sorted(maps.Keys(bounds))...)
			return o.score
		},
	}
}

func (f *scoreFlags) score(_ context.Context, _ []string, stdout, _ io.Writer) error {
	index, err := clip.ReadIndex(f.clip)
	if err != nil {
		return err
	}
	if f.enrolled {
		return listEnrolled(stdout, index)
	}
	s, err := summarise(index, f.dir, f.data)
	if err != nil {
		return err
	}
	s.Seconds = f.seconds
	if err := atomicfile.WriteJSON(f.out, 0o644, s); err != nil {
		return err
	}
	s.print(stdout)
	return s.check(bounds[f.bounds])
}

func listEnrolled(out io.Writer, index *clip.Index) error {
	var classes []string
	for _, s := range index.Segments {
		if s.Kind == clip.Enrolled && !slices.Contains(classes, s.Class) {
			classes = append(classes, s.Class)
		}
	}
	slices.Sort(classes)
	for _, c := range classes {
		if _, err := fmt.Fprintln(out, c); err != nil {
			return err
		}
	}
	return nil
}

func summarise(index *clip.Index, dir, data string) (*Summary, error) {
	var fit struct {
		Seconds float64 `json:"seconds"`
	}
	var convert struct {
		ModelBytes  int     `json:"model_bytes"`
		RecallFloat float64 `json:"recall_at_1_float"`
		RecallInt8  float64 `json:"recall_at_1_int8"`
	}
	var agent struct {
		Frames int `json:"frames"`
		Events int `json:"events"`
	}
	var listen struct {
		Events int `json:"events"`
	}
	for name, v := range map[string]any{"fit.json": &fit, "convert.json": &convert, "agent.json": &agent, "listen.json": &listen} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, v); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	train, err := photos.List(filepath.Join(data, "train"))
	if err != nil {
		return nil, err
	}
	test, err := photos.List(filepath.Join(data, "test"))
	if err != nil {
		return nil, err
	}
	labels, told, err := readLabels(filepath.Join(dir, "results.jsonl"), index.Frames)
	if err != nil {
		return nil, err
	}
	return &Summary{
		ImagesTrain: len(train), ImagesTest: len(test), RecallFloat: convert.RecallFloat, RecallInt8: convert.RecallInt8,
		ModelBytes: convert.ModelBytes, TrainSeconds: fit.Seconds, Frames: agent.Frames,
		Published: agent.Events, Received: listen.Events, Counts: clip.Score(index, labels, gallery.Slug),
		LongestWrong: clip.LongestWrong(index, told, gallery.Slug),
	}, nil
}

// readLabels returns what the agent called each frame of the clip by itself, and what was told of it.
func readLabels(path string, frames int) (labels, told []string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	labels, told = make([]string, frames), make([]string, frames)
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var line struct {
			Seq      int    `json:"seq"`
			Identity string `json:"identity"`
			Track    string `json:"track"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
		}
		if line.Seq < 1 || line.Seq > frames {
			return nil, nil, errors.Join(fmt.Errorf("%s: frame %d of a clip of %d", path, line.Seq, frames), file.Close())
		}
		labels[line.Seq-1], told[line.Seq-1] = line.Identity, line.Track
	}
	return labels, told, errors.Join(lines.Err(), file.Close())
}

func (s *Summary) print(out io.Writer) {
	share := func(right, wrong int) string {
		return fmt.Sprintf("%d of %d (%.0f %%)", right, right+wrong, 100*ratio(right, wrong))
	}
	fmt.Fprintf(out, "trained on   %d photos in %.0f s; tested on %d\n", s.ImagesTrain, s.TrainSeconds, s.ImagesTest)
	fmt.Fprintf(out, "recall@1     %.4f in float, %.4f in int8; the model has %d kB\n", s.RecallFloat, s.RecallInt8, s.ModelBytes/1000)
	fmt.Fprintf(out, "clip         %d frames\n", s.Frames)
	fmt.Fprintf(out, "enrolled     %s named rightly; %d under another's name\n", share(s.Correct, s.Wrong), s.Misnamed)
	fmt.Fprintf(out, "strangers    %s called unknown\n", share(s.UnknownRight, s.UnknownWrong))
	fmt.Fprintf(out, "wrong names  told for %d frames in a row at most\n", s.LongestWrong)
	fmt.Fprintf(out, "nothing      %s seen as nothing\n", share(s.EmptyRight, s.EmptyWrong))
	fmt.Fprintf(out, "MQTT         %d events published, %d received\n", s.Published, s.Received)
	fmt.Fprintf(out, "in all       %.0f s\n", s.Seconds)
}

// check returns what is below its bound.
func (s *Summary) check(limit bound) error {
	var faults []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	require(s.Published == s.Received, "published %d events, received %d", s.Published, s.Received)
	require(s.Published > 0, "nothing was published")
	require(s.RecallFloat >= limit.recall, "recall@1 %.4f is below %.2f", s.RecallFloat, limit.recall)
	require(s.RecallFloat-s.RecallInt8 <= limit.drop, "int8 loses %.4f recall@1, more than %.2f", s.RecallFloat-s.RecallInt8, limit.drop)
	require(s.LongestWrong <= longestWrong, "a wrong name was told for %d frames in a row, more than %d", s.LongestWrong, longestWrong)
	known, unknown := ratio(s.Correct, s.Wrong), ratio(s.UnknownRight, s.UnknownWrong)
	require(known >= limit.known, "%.2f of the enrolled views are named rightly, below %.2f", known, limit.known)
	require(unknown >= limit.unknown, "%.2f of the strangers are unknown, below %.2f", unknown, limit.unknown)
	return errors.Join(faults...)
}

func ratio(right, wrong int) float64 { return float64(right) / float64(max(right+wrong, 1)) }
