package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
	"xbmedge/training/internal/dataset"
	"xbmedge/training/internal/trainer"
)

// evalFlags is the command line of eval.
type evalFlags struct {
	run, data, gallery, galleryModel, queries, self      string
	embeddings, labels, galleryEmbeddings, galleryLabels string
	ks                                                   []int
	perClass                                             bool
	split                                                int
	seed                                                 uint64
	rerank, json                                         string
}

func evalCommand() cli.Command {
	return cli.Command{
		Name: "eval", Summary: "measure retrieval on photos the run has not seen",
		Long: `Searches for each query in a gallery and prints how well it finds its class:
recall@k (a query counts when one of its class is among the k nearest; recall@1
is precision@1), mAP over the whole ranking, mAP@R and R-precision. R is the
number of vectors in the gallery that are of the query's class. A query without
any is left out. The figures are those of pytorch-metric-learning's
AccuracyCalculator.

Photos are embedded with a run, in float: --data, or --gallery and --queries in
its place, or --self, where each photo looks among all others. So does each
photo of a list or of Stanford Online Products, given as --data. Embeddings that
are there already are given as NumPy arrays: --embeddings, [n, d] of float16,
float32 or float64, and --labels, n integers; they look among themselves, or in
--gallery-embeddings with --gallery-labels. Rows are L2-normalised as they are
read: all is by cosine.

--gallery-model embeds the gallery with an older model: what a board finds
whose things were enrolled before an upgrade. Of use for a run that was trained
with fit --compatible-with.

--rerank K1,K2,LAMBDA ranks again by k-reciprocal encoding (Zhong et al. 2017;
20,6,0.3 in the paper). It looks at all queries together, and so tells what a
search of a whole collection could reach, not what one photo does.`,
		Examples: `xbm-train eval --run runs/1 --data photos
xbm-train eval --run runs/1 --gallery photos/train --queries photos/test
xbm-train eval --run runs/2 --gallery-model old.tflite --data photos
xbm-train eval --run runs/1 --self photos/test --ks 1,10,100
xbm-train eval --embeddings e.npy --labels y.npy --json -`,
		Setup: func(f *cli.Flags) cli.Func {
			var o evalFlags
			f.StringVar(&o.run, "run", "", "`FOLDER` of a run")
			f.StringVar(&o.data, "data", "", "`FOLDER` with train/ (the gallery) and test/ (the queries) in it, a list, or Stanford Online Products")
			f.StringVar(&o.gallery, "gallery", "", "`FOLDER` of class folders, or a list, to search in, instead of train/")
			f.StringVar(&o.galleryModel, "gallery-model", "", "older `MODEL` (.xbm, .tflite, or the folder of a run) that embeds the gallery, as it has been enrolled on a board, while the run embeds the queries")
			f.StringVar(&o.queries, "queries", "", "`FOLDER` of class folders, or a list, to search for, instead of test/")
			f.StringVar(&o.self, "self", "", "`FOLDER` of class folders, or a list: search for each photo among all others")
			f.IntVar(&o.split, "split", 0, "with --self: `N` photos of each class search among the others, instead of each among all")
			f.Uint64Var(&o.seed, "seed", 1, "`SEED` of which photos --split takes")
			f.StringVar(&o.embeddings, "embeddings", "", ".npy `FILE` of embeddings, in place of photos")
			f.StringVar(&o.labels, "labels", "", ".npy `FILE` of their classes, as integers")
			f.StringVar(&o.galleryEmbeddings, "gallery-embeddings", "", ".npy `FILE` to search in, instead of among themselves")
			f.StringVar(&o.galleryLabels, "gallery-labels", "", ".npy `FILE` of the gallery's classes")
			f.IntSliceVar(&o.ks, "ks", nil, "the `K,K...` of recall@k (default 1,5,10,100, as far as the gallery reaches)")
			f.StringVar(&o.rerank, "rerank", "", "re-rank with `K1,K2,LAMBDA`")
			f.BoolVar(&o.perClass, "per-class", false, "give the figures of each class as well")
			f.StringVar(&o.json, "json", "", "also write the result to this `FILE`; -: only the result, to standard output")
			return o.eval
		},
	}
}

func (f *evalFlags) eval(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	if err := f.check(); err != nil {
		return err
	}
	rerank, err := parseRerank(f.rerank)
	if err != nil {
		return err
	}
	if f.json != "" && f.json != "-" {
		if err := atomicfile.Check(f.json); err != nil {
			return err
		}
	}
	progress := newProgress(stderr)
	opt := retrieval.Options{Rerank: rerank, Progress: func(done, total int) { progress.part("searching", float64(done)/float64(total)) }}
	var e *trainer.Evaluation
	if f.embeddings != "" {
		e, err = f.arrays(ctx, opt, stderr)
	} else {
		e, err = f.photos(ctx, opt, progress, slog.New(slog.NewTextHandler(stderr, nil)))
	}
	progress.end()
	if err != nil {
		return err
	}
	return newReport(e, f.ks, rerank, f.perClass).write(f.json, stdout)
}

// check sees to it that the flags name one thing to measure.
func (f *evalFlags) check() error {
	given := func(values ...string) bool { return strings.Join(values, "") != "" }
	arrays := given(f.embeddings, f.labels, f.galleryEmbeddings, f.galleryLabels)
	switch {
	case arrays && given(f.run, f.data, f.gallery, f.queries, f.self):
		return cli.Usagef("eval takes photos and a --run, or --embeddings and --labels, not both")
	case arrays && (f.embeddings == "" || f.labels == ""):
		return cli.Usagef("eval needs --embeddings and --labels together")
	case (f.galleryEmbeddings == "") != (f.galleryLabels == ""):
		return cli.Usagef("eval needs --gallery-embeddings and --gallery-labels together")
	case f.split != 0 && f.self == "":
		return cli.Usagef("--split divides the photos of --self, which is missing")
	case f.galleryModel != "" && arrays:
		return cli.Usagef("--gallery-model embeds photos; with --embeddings give --gallery-embeddings")
	case f.galleryModel != "" && f.self != "" && f.split == 0:
		return cli.Usagef("--gallery-model needs a gallery apart from the queries: add --split to --self, or take --data")
	case f.split < 0:
		return cli.Usagef("--split is %d: take at least 1", f.split)
	case f.self != "" && given(f.data, f.gallery, f.queries):
		return cli.Usagef("--self searches among its own photos; leave --data, --gallery and --queries away")
	}
	if f.data != "" && f.gallery == "" && f.queries == "" {
		// A list and Stanford Online Products are measured among themselves; what is wrong with a path shows later.
		if kind, err := dataset.KindOf(f.data); err == nil && kind != dataset.Folders {
			f.self = f.data
			return nil
		}
	}
	if f.gallery == "" && f.data != "" {
		f.gallery = filepath.Join(f.data, "train")
	}
	if f.queries == "" && f.data != "" {
		f.queries = filepath.Join(f.data, "test")
	}
	if !arrays && (f.run == "" || f.self == "" && (f.gallery == "" || f.queries == "")) {
		return cli.Usagef("eval needs --run and --data, or --gallery and --queries in its place, or --self; or --embeddings and --labels")
	}
	return nil
}

func (f *evalFlags) photos(ctx context.Context, opt retrieval.Options, p *progress, log *slog.Logger) (*trainer.Evaluation, error) {
	gallery, queries, err := f.sets()
	if err != nil {
		return nil, err
	}
	if opt.Ks, err = f.reach(len(gallery), len(queries) == 0); err != nil {
		return nil, err
	}
	return trainer.Evaluate(ctx, f.run, gallery, queries, trainer.EvalOptions{
		Options: opt, Log: log, GalleryModel: f.galleryModel,
		Embedding: func(done, total int) { p.part("embedding", float64(done)/float64(total)) },
	})
}

// sets returns what is searched in and what is searched for: nothing, where each photo looks among all others.
func (f *evalFlags) sets() (gallery, queries []photos.Photo, err error) {
	if f.split > 0 {
		set, err := openTest(f.self)
		if err != nil {
			return nil, nil, err
		}
		asking, among, err := set.QueryGallery(f.split, rand.New(rand.NewPCG(f.seed, 0)))
		if err != nil {
			return nil, nil, fmt.Errorf("--split %d of %s: %w", f.split, f.self, err)
		}
		return among.Photos, asking.Photos, nil
	}
	if gallery, err = photosOf(f.gallery + f.self); err != nil || f.self != "" { // one of the two is empty
		return gallery, nil, err
	}
	queries, err = photosOf(f.queries)
	return gallery, queries, err
}

// openTest opens a folder of class folders, a list, or the test half of Stanford Online Products.
func openTest(path string) (*dataset.Dataset, error) {
	if kind, err := dataset.KindOf(path); err != nil || kind == dataset.Folders {
		return dataset.OpenFolders(path)
	}
	return dataset.OpenTest(path)
}

// photosOf lists the photos of a folder of class folders, of a list, or of the test half of Stanford Online Products.
func photosOf(path string) ([]photos.Photo, error) {
	if kind, err := dataset.KindOf(path); err != nil || kind == dataset.Folders {
		return photos.List(path)
	}
	set, err := dataset.OpenTest(path)
	if err != nil {
		return nil, err
	}
	return set.Photos, nil
}

// reach settles what recall@k is reported for, with a gallery of n. It returns the ks to measure: 1 and 5 are always
// among the results, at the end here.
func (f *evalFlags) reach(n int, among bool) ([]int, error) {
	if among {
		n-- // itself is no answer
	}
	if f.ks == nil {
		f.ks = slices.DeleteFunc([]int{1, 5, 10, 100}, func(k int) bool { return k > max(n, 1) })
	}
	for _, k := range f.ks {
		if k < 1 || k > n {
			return nil, cli.Usagef("--ks has %d; with %d to search in it must be from 1 to %d", k, n, n)
		}
	}
	return append(slices.Clone(f.ks), 1, 5), nil
}

// parseRerank reads K1,K2,LAMBDA; nothing is nil.
func parseRerank(text string) (*retrieval.Rerank, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // none is asked for
	}
	wrong := cli.Usagef("--rerank is %q; want K1,K2,LAMBDA such as 20,6,0.3, k1 and k2 from 1 on, lambda from 0 to 1", text)
	fields := strings.Split(text, ",")
	if len(fields) != 3 {
		return nil, wrong
	}
	var r retrieval.Rerank
	var errs [3]error
	r.K1, errs[0] = strconv.Atoi(fields[0])
	r.K2, errs[1] = strconv.Atoi(fields[1])
	r.Lambda, errs[2] = strconv.ParseFloat(fields[2], 64)
	for _, err := range errs {
		if err != nil {
			return nil, wrong
		}
	}
	if r.Check() != nil {
		return nil, wrong
	}
	return &r, nil
}

// describe says what was measured, in words.
func describe(r *report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d queries against %d in the gallery", r.Queries, r.Gallery)
	if r.Lone > 0 {
		fmt.Fprintf(&b, ", %d with nothing to find left out", r.Lone)
	}
	if r.Skipped > 0 {
		fmt.Fprintf(&b, ", %d unreadable", r.Skipped)
	}
	if r.Rerank != nil {
		fmt.Fprintf(&b, ", re-ranked with k1 %d, k2 %d, lambda %g", r.Rerank.K1, r.Rerank.K2, r.Rerank.Lambda)
	}
	return b.String()
}
