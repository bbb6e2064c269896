package dataset

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestSummarize(t *testing.T) {
	divided := folder(t, map[string]int{
		"train/a/1.png": 4, "train/a/2.png": 4, "train/a/3.png": 0, "train/b/1.png": 4, "train/c/1.png": 4, "train/c/2.png": 4,
		"test/a/9.png": 4, "test/x/9.png": 4,
	})
	products := sop(t)
	listed := folder(t, map[string]int{"1.png": 4, "2.png": 4, "3.png": 4, "4.png": 4})
	list := write(t, listed, "list.txt", "1.png 1\n2.png 1\n3.png 2\n4.png 2\n")
	for _, tc := range []struct {
		name, path string
		decode     bool
		want       Summary
		problems   []string
	}{
		{"folders", divided, true, Summary{
			Kind:  Folders,
			Train: Part{Photos: 6, Least: 1, Median: 2, Most: 3, Classes: []Class{{"a", 3}, {"b", 1}, {"c", 2}}},
			Test:  &Part{Photos: 2, Least: 1, Median: 1, Most: 1, Classes: []Class{{"a", 1}, {"x", 1}}},
		}, []string{"1 of the classes to test with are not trained on, the first is x", "1 of the classes to train on have a single photo", "train/a/3.png"}},
		{"one class trains nothing", filepath.Join(divided, "train", "a"), false, Summary{}, nil},
		{"sop", products, false, Summary{
			Kind:  SOP,
			Train: Part{Photos: 4, Least: 2, Median: 2, Most: 2, Classes: []Class{{"2", 2}, {"10", 2}}},
			Test:  &Part{Photos: 3, Least: 1, Median: 2, Most: 2, Classes: []Class{{"11", 2}, {"12", 1}}}, Disjoint: true,
		}, nil},
		{"list", list, true, Summary{
			Kind:  List,
			Train: Part{Photos: 4, Least: 2, Median: 2, Most: 2, Classes: []Class{{"1", 2}, {"2", 2}}},
		}, nil},
	} {
		s, err := Summarize(t.Context(), tc.path, tc.decode)
		if tc.want.Kind == "" {
			if err == nil {
				t.Errorf("%s: no error", tc.name)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&tc.want, s, cmpopts.IgnoreFields(Summary{}, "Problems")); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
		if len(s.Problems) != len(tc.problems) {
			t.Errorf("%s: problems %q, want %d", tc.name, s.Problems, len(tc.problems))
			continue
		}
		for i, want := range tc.problems {
			if !strings.Contains(s.Problems[i], want) {
				t.Errorf("%s: problem %q, want %q", tc.name, s.Problems[i], want)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Summarize(ctx, divided, true); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
