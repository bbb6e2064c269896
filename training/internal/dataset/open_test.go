package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/photos"
)

// write puts a text file into a folder.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sop makes Stanford Online Products in small, as it is distributed.
func sop(t *testing.T) string {
	t.Helper()
	root := folder(t, map[string]int{
		"bicycle_final/111_0.JPG": 4, "bicycle_final/111_1.JPG": 4, "chair_final/222_0.JPG": 4, "chair_final/222_1.JPG": 4,
		"mug_final/333_0.JPG": 4, "mug_final/333_1.JPG": 4, "mug_final/444_0.JPG": 4,
	})
	write(t, root, "Ebay_train.txt", "image_id class_id super_class_id path\n"+
		"1 10 1 bicycle_final/111_0.JPG\n2 10 1 bicycle_final/111_1.JPG\n3 2 2 chair_final/222_0.JPG\n4 2 2 chair_final/222_1.JPG\n")
	write(t, root, "Ebay_test.txt", "image_id class_id super_class_id path\r\n"+
		"5 11 7 mug_final/333_0.JPG\r\n6 11 7 mug_final/333_1.JPG\r\n7 12 7 mug_final/444_0.JPG\r\n")
	write(t, root, "Ebay_info.txt", "about it")
	return root
}

// named is a data set as class → photos, relative to a folder.
func named(t *testing.T, root string, d *Dataset) map[string][]string {
	t.Helper()
	got := map[string][]string{}
	for i, p := range d.Photos {
		relative, err := filepath.Rel(root, p.Path)
		if err != nil {
			t.Fatal(err)
		}
		if p.Class != d.Classes[d.Labels[i]] {
			t.Errorf("%s is of class %q, its label says %q", relative, p.Class, d.Classes[d.Labels[i]])
		}
		got[p.Class] = append(got[p.Class], filepath.ToSlash(relative))
	}
	return got
}

func TestOpenTrainAndTest(t *testing.T) {
	products := sop(t)
	divided := folder(t, map[string]int{"train/a/1.png": 4, "train/b/1.png": 4, "test/a/2.png": 4})
	listed := folder(t, map[string]int{"my photos/1.png": 4, "2.png": 4, "3.png": 4})
	text := write(t, listed, "list.txt", "\ufeff# mine\n\n  my photos/1.png\t10 \n./2.png 9\n"+filepath.Join(listed, "3.png")+" 10\n")
	asListed := map[string][]string{"9": {"2.png"}, "10": {"3.png", "my photos/1.png"}}
	for _, tc := range []struct {
		name, path, root string
		kind             Kind
		train, test      map[string][]string
	}{
		{
			"folders", divided, divided, Folders,
			map[string][]string{"a": {"train/a/1.png"}, "b": {"train/b/1.png"}},
			map[string][]string{"a": {"test/a/2.png"}},
		},
		{
			"plain folders", filepath.Join(divided, "train"), divided, Folders,
			map[string][]string{"a": {"train/a/1.png"}, "b": {"train/b/1.png"}},
			nil,
		},
		{"list", text, listed, List, asListed, asListed},
		{
			"sop", products, products, SOP,
			map[string][]string{
				"2":  {"chair_final/222_0.JPG", "chair_final/222_1.JPG"},
				"10": {"bicycle_final/111_0.JPG", "bicycle_final/111_1.JPG"},
			},
			map[string][]string{"11": {"mug_final/333_0.JPG", "mug_final/333_1.JPG"}, "12": {"mug_final/444_0.JPG"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if kind, err := KindOf(tc.path); err != nil || kind != tc.kind {
				t.Errorf("kind %q, %v; want %q", kind, err, tc.kind)
			}
			train, err := OpenTrain(tc.path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.train, named(t, tc.root, train)); diff != "" {
				t.Errorf("train: %s", diff)
			}
			test, err := OpenTest(tc.path)
			if tc.test == nil {
				if err == nil || !strings.Contains(err.Error(), "has no folder test/") {
					t.Errorf("test: error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.test, named(t, tc.root, test)); diff != "" {
				t.Errorf("test: %s", diff)
			}
		})
	}
}

// Labels are sorted as numbers: "9" comes before "10".
// TestTestPhotosAreNotTrainedOn: a data set whose train/ has gone, or has another name, must not fall back on the rest.
func TestTestPhotosAreNotTrainedOn(t *testing.T) {
	_, err := OpenTrain(folder(t, map[string]int{"test/a/1.png": 4, "test/b/1.png": 4, "training/a/1.png": 4}))
	if err == nil || !strings.Contains(err.Error(), "photos to test with are not trained on") {
		t.Errorf("error %v", err)
	}
	if d, err := OpenTrain(folder(t, map[string]int{"test/1.png": 4, "rest/1.png": 4})); err != nil || len(d.Classes) != 2 {
		t.Errorf("a class called test: %v", err)
	}
}

func TestListLabelsAreSortedAsNumbers(t *testing.T) {
	root := folder(t, map[string]int{"1.png": 4, "2.png": 4, "3.png": 4})
	d, err := OpenList(write(t, root, "list.txt", "1.png 10\n2.png 9\n3.png 100\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"9", "10", "100"}, d.Classes); diff != "" {
		t.Error(diff)
	}
}

func TestListRefusals(t *testing.T) {
	root := folder(t, map[string]int{"1.png": 4, "2.png": 4, "sub/3.png": 4})
	var missing strings.Builder
	for i := range 12 {
		fmt.Fprintf(&missing, "gone%02d.png %d\n", i, i)
	}
	for name, tc := range map[string]struct {
		text  string
		wants []string
		never string
	}{
		"absent photos":  {missing.String(), []string{"list.txt:1:", "gone00.png", "gone04.png", "and 7 more, 12 in all"}, "gone05"},
		"a folder":       {"sub 1\n1.png 2\n", []string{"list.txt:1:", "there is no photo"}, ""},
		"label no word":  {"1.png 1\n2.png cup\n", []string{"list.txt:2:", `"cup" is no whole number`}, ""},
		"label negative": {"1.png 1\n\n2.png -4\n", []string{"list.txt:3:", `"-4" is no whole number`}, ""},
		"label fraction": {"1.png 1.5\n2.png 4\n", []string{"list.txt:1:", `"1.5"`}, ""},
		"no label":       {"1.png\n2.png 4\n", []string{"list.txt:1:", `"1.png" is one word`}, ""},
		"a photo":        {"\xff\xd8\xff\xe0\x00\x10JFIF\n1.png 4\n", []string{"list.txt is no text file"}, "one word"},
		"named twice":    {"1.png 1\n2.png 2\n./sub/../1.png 2\n", []string{"list.txt:3:", "1.png is in line 1 already"}, ""},
		"empty":          {"# nothing\n\n", []string{"names no photos"}, ""},
		"one class":      {"1.png 7\n2.png 7\n", []string{"one class only, 7"}, ""},
		"no text":        {strings.Repeat("x", 1<<17), []string{"is it a text file?"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenTrain(write(t, root, "list.txt", tc.text))
			if !errors.Is(err, ErrList) {
				t.Fatalf("error %v, want one of the list", err)
			}
			for _, want := range tc.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if tc.never != "" && strings.Contains(err.Error(), tc.never) {
				t.Errorf("error names more than the first five: %v", err)
			}
		})
	}
	if _, err := OpenTrain(filepath.Join(root, "none")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none") {
		t.Errorf("absent: %v", err)
	}
}

func TestSOPRefusals(t *testing.T) {
	const header = "image_id class_id super_class_id path\n"
	for name, tc := range map[string]struct{ file, text, want string }{
		"class in both halves": {
			"Ebay_test.txt", header + "5 10 7 mug_final/333_0.JPG\n6 2 7 mug_final/333_1.JPG\n7 2 7 mug_final/444_0.JPG\n",
			"2 classes are in",
		},
		"their names": {
			"Ebay_test.txt", header + "5 10 7 mug_final/333_0.JPG\n6 2 7 mug_final/333_1.JPG\n", "the first of them 2 10;",
		},
		"no header":    {"Ebay_train.txt", "1 10 1 bicycle_final/111_0.JPG\n", `Ebay_train.txt:1: the list begins with`},
		"three words":  {"Ebay_train.txt", header + "1 10 bicycle_final/111_0.JPG\n", "Ebay_train.txt:2: 3 words, want 4"},
		"class a name": {"Ebay_train.txt", header + "1 bike 1 bicycle_final/111_0.JPG\n", `Ebay_train.txt:2: label "bike"`},
		"empty":        {"Ebay_train.txt", "", "names no photos"},
		"absent": {
			"Ebay_train.txt", header + "1 1 1 bicycle_final/999.JPG\n2 2 1 bicycle_final/111_0.JPG\n",
			"there is no photo",
		},
	} {
		root := sop(t)
		write(t, root, tc.file, tc.text)
		if _, err := OpenTrain(root); !errors.Is(err, ErrList) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v does not say %q", name, err, tc.want)
		}
	}
	root := sop(t)
	if err := os.Remove(filepath.Join(root, "Ebay_test.txt")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenTrain(root); err != nil {
		t.Errorf("the training half alone: %v", err)
	}
	if _, err := OpenTest(root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the test half is missing: %v", err)
	}
	if _, err := OpenTrain(t.TempDir()); !errors.Is(err, photos.ErrEmpty) {
		t.Errorf("an empty folder: %v", err)
	}
}
