package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/embed"
	"xbmedge/internal/npy"
	"xbmedge/internal/photos"
	"xbmedge/training/internal/trainer"
)

// predictFlags is the command line of predict.
type predictFlags struct {
	run, model, out string
	strict          bool
}

func predictCommand() cli.Command {
	return cli.Command{
		Name: "predict", Args: "FILE|FOLDER...", Summary: "embed photos",
		Long: `Prints a line of JSON for each photo, {"path": …, "embedding": […]}, in the order
of the arguments; the photos of a folder and its sub-folders come sorted by
class and name. Embeddings are L2-normalised: their dot product is the cosine.

With --out they go to a file instead, whose name says how: lines of JSON into
FILE.jsonl, or a float32 array into FILE.npy, which NumPy and eval --embeddings
read, and the paths of its rows, one a line, into FILE.txt beside it. The file is
there when all is done, or not at all.

A photo that cannot be read is reported and left out. It is an error when none
can be read, and with --strict when one cannot.`,
		Examples: `xbm-train predict --run runs/1 photo.jpg
xbm-train predict --model bundle/model.tflite --out embeddings.npy photos`,
		Setup: func(f *cli.Flags) cli.Func {
			var o predictFlags
			f.StringVar(&o.run, "run", "", "`FOLDER` of a run whose network embeds, in float")
			f.StringVar(&o.model, "model", "", "TensorFlow Lite `FILE` that embeds, in place of --run")
			f.StringVar(&o.out, "out", "", "write to this `FILE`, .jsonl or .npy, and not to standard output")
			f.BoolVar(&o.strict, "strict", false, "stop at the first photo that cannot be read")
			return o.predict
		},
	}
}

func (f *predictFlags) predict(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	format := filepath.Ext(f.out)
	switch {
	case (f.run == "") == (f.model == ""):
		return cli.Usagef("predict needs --run or --model, and not both")
	case len(args) == 0:
		return cli.Usagef("predict needs photos, or folders of photos")
	case f.out != "" && format != ".jsonl" && format != ".npy":
		return cli.Usagef("--out is %q; its name must end in .jsonl or .npy", f.out)
	}
	list, err := findPhotos(args)
	if err != nil {
		return err
	}
	if format != ".npy" {
		for _, p := range list {
			if !utf8.ValidString(p.Path) {
				return fmt.Errorf("the path %q is not UTF-8, which JSON cannot hold; take an --out that ends in .npy", p.Path)
			}
		}
	}
	model, err := f.readModel()
	if err != nil {
		return err
	}
	p := &prediction{list: list, strict: f.strict, stderr: stderr}
	run := func(keep func(path string, v []float32) error) error {
		p.keep = keep
		err := embed.Each(ctx, model, embed.Options{Log: slog.New(slog.NewTextHandler(stderr, nil))}, list, p.add)
		p.endProgress()
		if err == nil && p.embedded == 0 {
			err = fmt.Errorf("none of %d photos could be read", len(list))
		}
		return err
	}
	switch format {
	case ".npy":
		p.progress = newProgress(stderr)
		err = writeArray(f.out, list, run)
	case ".jsonl":
		p.progress = newProgress(stderr)
		err = atomicfile.Write(f.out, 0o644, func(w io.Writer) error { return run(jsonLines(w)) })
	default:
		err = run(jsonLines(stdout))
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%d photos embedded in %d values each, %d unreadable\n", p.embedded, p.dim, len(list)-p.embedded)
	return nil
}

func (f *predictFlags) readModel() ([]byte, error) {
	if f.run != "" {
		return trainer.ReadModel(f.run)
	}
	model, err := os.ReadFile(f.model)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	return model, nil
}

// findPhotos lists the photos that arguments name, in their order.
func findPhotos(args []string) ([]photos.Photo, error) {
	var all []photos.Photo
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, fmt.Errorf("find photos: %w", err)
		}
		if !info.IsDir() {
			all = append(all, photos.Photo{Path: arg})
			continue
		}
		list, err := photos.List(arg)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// prediction is under way.
type prediction struct {
	list          []photos.Photo
	keep          func(path string, v []float32) error
	strict        bool
	progress      *progress // nil: none, as the results themselves show it
	stderr        io.Writer
	embedded, dim int
}

func (p *prediction) add(i int, v []float32, unreadable error) error {
	if p.progress != nil {
		p.progress.part("embedding", float64(i+1)/float64(len(p.list)))
	}
	if unreadable != nil {
		if p.strict {
			return unreadable
		}
		p.endProgress()
		fmt.Fprintf(p.stderr, "left out: %v\n", unreadable)
		return nil
	}
	p.embedded++
	p.dim = len(v)
	return p.keep(p.list[i].Path, v)
}

func (p *prediction) endProgress() {
	if p.progress != nil {
		p.progress.end()
	}
}

// jsonLines returns a function that writes one photo's line.
func jsonLines(w io.Writer) func(path string, v []float32) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return func(path string, v []float32) error {
		return encoder.Encode(struct {
			Path      string    `json:"path"`
			Embedding []float32 `json:"embedding"`
		}{path, v})
	}
}

// writeArray writes the embeddings that run comes to into a .npy file, and their paths into a .txt file beside it. The
// array is written last: where it is, its paths are.
func writeArray(out string, list []photos.Photo, run func(keep func(path string, v []float32) error) error) error {
	for _, p := range list {
		if strings.ContainsAny(p.Path, "\r\n") {
			return fmt.Errorf("the path %q holds a line break, which a list of paths cannot; write lines of JSON instead", p.Path)
		}
	}
	names := strings.TrimSuffix(out, ".npy") + ".txt"
	if isThere(names) && !isThere(out) {
		return fmt.Errorf("%s is there already, and not from predict, or %s would be as well: move it away, or take another --out", names, out)
	}
	for _, path := range []string{out, names} {
		if err := atomicfile.Check(path); err != nil {
			return err
		}
	}
	var paths strings.Builder
	var data []float32
	dim := 0
	err := run(func(path string, v []float32) error {
		paths.WriteString(path + "\n")
		data, dim = append(data, v...), len(v)
		return nil
	})
	if err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(names, 0o644, []byte(paths.String())); err != nil {
		return err
	}
	err = atomicfile.Write(out, 0o644, func(w io.Writer) error { return npy.WriteMatrix(w, dim, data) })
	if err != nil && !isThere(out) {
		err = errors.Join(err, os.Remove(names))
	}
	return err
}
