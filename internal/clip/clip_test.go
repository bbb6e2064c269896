package clip

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/photos"
	"xbmedge/internal/vision"
)

func TestScore(t *testing.T) {
	var x Index
	for _, s := range []struct {
		class, kind string
	}{{"Tea", Enrolled}, {"Tea", Enrolled}, {"Salt", Enrolled}, {"Odd", Stranger}, {"Odd", Stranger}, {"", Empty}, {"", Empty}} {
		x.Append(3, s.class, s.kind)
	}
	labels := []string{
		"tea", "none", "tea", // right
		"unknown", "unknown", "tea", // an enrolled thing called unknown
		"tea", "tea", "salt", // and one by another's name
		"unknown", "tea", "unknown", // right
		"tea", "tea", "unknown", // a stranger under a name
		"none", "none", "tea", // right
		"unknown", "unknown", // wrong; the last frame was never looked at
	}
	identify := func(class string) string { return map[string]string{"Tea": "tea", "Salt": "salt"}[class] }
	want := Counts{Correct: 1, Wrong: 2, Misnamed: 1, UnknownRight: 1, UnknownWrong: 1, EmptyRight: 1, EmptyWrong: 1}
	if diff := cmp.Diff(want, Score(&x, labels, identify)); diff != "" {
		t.Error(diff)
	}
}

func TestLongestWrong(t *testing.T) {
	var x Index
	x.Append(4, "a", Enrolled)
	x.Append(2, "b", Stranger)
	x.Append(2, "", Empty)
	for _, tt := range []struct {
		name string
		told []string
		want int
	}{
		{"nothing told", make([]string, 8), 0},
		{"all right", []string{None, "a", "a", "a", Unknown, Unknown, None, ""}, 0},
		{"another's name, then its own", []string{"b", "b", "a", "a", Unknown, "", "", ""}, 2},
		{"the name stays when the thing has gone", []string{"a", "a", "a", "a", "a", "a", "a", None}, 3},
		{"one wrong name after another", []string{"a", "a", "b", "c", "b", Unknown, None, None}, 3},
		{"a stranger's own name is no right one", []string{"a", "a", "a", "a", "b", "b", "", ""}, 2},
		{"frames that were not looked at", []string{"b"}, 1},
	} {
		if got := LongestWrong(&x, tt.told, func(class string) string { return class }); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestFromPhotos(t *testing.T) {
	dir := t.TempDir()
	var list []photos.Photo
	for _, class := range []string{"a", "b"} {
		for _, name := range []string{"1.jpg", "2.jpg", "3.jpg"} {
			path := filepath.Join(dir, class+name)
			var b bytes.Buffer
			if err := vision.EncodeJPEG(&b, vision.NewFrame(60, 40), 80); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			list = append(list, photos.Photo{Path: path, Class: class})
		}
	}
	broken := filepath.Join(dir, "broken.jpg")
	if err := os.WriteFile(broken, []byte("\xff\xd8no"), 0o600); err != nil {
		t.Fatal(err)
	}
	list = append(list, photos.Photo{Path: broken, Class: "c"})
	o := PhotoOptions{Seed: 1, PerClass: 2, Frames: 4, EmptyEvery: 3, Strangers: map[string]bool{"b": true}}
	path := filepath.Join(dir, "clip.mjpeg")
	index, skipped, err := FromPhotos(t.Context(), path, list, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(skipped) != 1 || skipped[0].Path != broken {
		t.Errorf("skipped %v, want the broken photo", skipped)
	}
	kinds := map[string]int{}
	next := 0
	for _, s := range index.Segments {
		kinds[s.Kind+" "+s.Class]++
		if s.First != next || s.Last != s.First+o.Frames-1 {
			t.Errorf("segment %+v does not follow frame %d", s, next)
		}
		next = s.Last + 1
	}
	if diff := cmp.Diff(map[string]int{"enrolled a": 2, "stranger b": 2, "empty ": 2}, kinds); diff != "" {
		t.Error(diff)
	}
	film, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(film, []byte("\xff\xd8\xff")); n != index.Frames || n != next {
		t.Errorf("%d pictures in the clip, the index says %d", n, index.Frames)
	}
	again := filepath.Join(dir, "again.mjpeg")
	if _, _, err := FromPhotos(t.Context(), again, list, o); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(film, second) {
		t.Error("the same seed gave another clip")
	}
	indexPath := filepath.Join(dir, "clip.json")
	if err := index.Write(indexPath); err != nil {
		t.Fatal(err)
	}
	back, err := ReadIndex(indexPath)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(index, back); diff != "" {
		t.Error(diff)
	}
}
