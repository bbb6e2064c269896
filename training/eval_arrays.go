package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"xbmedge/internal/npy"
	"xbmedge/internal/retrieval"
	"xbmedge/training/internal/trainer"
)

// arrays evaluates embeddings that are in files.
func (f *evalFlags) arrays(ctx context.Context, opt retrieval.Options, stderr io.Writer) (*trainer.Evaluation, error) {
	set, labels, err := readArrays(f.embeddings, f.labels, stderr)
	if err != nil {
		return nil, err
	}
	gallery, galleryLabels := set, labels
	among := f.galleryEmbeddings == ""
	if !among {
		if gallery, galleryLabels, err = readArrays(f.galleryEmbeddings, f.galleryLabels, stderr); err != nil {
			return nil, err
		}
		if gallery.Dim != set.Dim {
			return nil, fmt.Errorf("%s has vectors of %d values, %s of %d: they come from different models",
				f.embeddings, set.Dim, f.galleryEmbeddings, gallery.Dim)
		}
	}
	if opt.Ks, err = f.reach(gallery.Len(), among); err != nil {
		return nil, err
	}
	names := slices.Sorted(slices.Values(slices.Concat(labels, galleryLabels)))
	names = slices.Compact(names)
	e := &trainer.Evaluation{}
	for _, label := range names {
		e.Names = append(e.Names, strconv.Itoa(label))
	}
	number := func(labels []int) []int {
		numbers := make([]int, len(labels))
		for i, label := range labels {
			numbers[i], _ = slices.BinarySearch(names, label)
		}
		return numbers
	}
	var found *retrieval.Evaluation
	if among {
		found, err = retrieval.EvaluateLeaveOneOut(ctx, set, number(labels), opt)
	} else {
		found, err = retrieval.Evaluate(ctx, set, number(labels), gallery, number(galleryLabels), opt)
	}
	if err != nil {
		return nil, err
	}
	e.Evaluation = *found
	return e, nil
}

// readArrays reads embeddings, scaled to length one, and their labels.
func readArrays(path, labelsPath string, stderr io.Writer) (retrieval.Embeddings, []int, error) {
	rows, columns, data, err := npy.ReadMatrix(path)
	if err != nil {
		return retrieval.Embeddings{}, nil, err
	}
	labels, err := npy.ReadLabels(labelsPath)
	if err != nil {
		return retrieval.Embeddings{}, nil, err
	}
	if rows == 0 || columns == 0 {
		return retrieval.Embeddings{}, nil, fmt.Errorf("%s has shape [%d %d]: it holds no vectors", path, rows, columns)
	}
	if len(labels) != rows {
		return retrieval.Embeddings{}, nil, fmt.Errorf("%s holds %d vectors, %s %d labels; each vector needs one", path, rows, labelsPath, len(labels))
	}
	set := retrieval.Embeddings{Dim: columns, Data: data}
	zeros := 0
	for i := range rows {
		nothing := true
		for _, v := range set.Row(i) {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return retrieval.Embeddings{}, nil, fmt.Errorf("%s: row %d holds %v, which is no number to compare; look at what wrote it", path, i, v)
			}
			nothing = nothing && v == 0
		}
		if nothing {
			zeros++
		}
		retrieval.Normalize(set.Row(i))
	}
	if zeros > 0 {
		fmt.Fprintf(stderr, "%s: %d of %d vectors are all zeros; their cosine to all others is 0\n", path, zeros, rows)
	}
	return set, labels, nil
}
