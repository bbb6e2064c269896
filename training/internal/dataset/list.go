package dataset

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"xbmedge/internal/photos"
)

// ErrList is wrapped by the errors about what a list of photos holds.
var ErrList = errors.New("list of photos is wrong")

// faultsShown is how many faults of one kind are told apart; a list with a wrong root has as many as it has lines.
const faultsShown = 5

// OpenList reads a list of photos: a text file with a path and a label in each line, the last word being the label, a
// whole number from 0. The labels need not be in order and may leave gaps. Paths are relative to the list's folder and
// may hold blanks. Empty lines and those that begin with # are passed over.
//
// It is an error, which names the line, when a label is no number, a photo is named twice or is not there, when there
// are no photos, or only those of one class.
func OpenList(path string) (*Dataset, error) {
	var l list
	err := l.read(path, func(line string) (photo, label string, err error) {
		if strings.HasPrefix(line, "#") {
			return "", "", nil
		}
		at := strings.LastIndexAny(line, " \t")
		if at < 0 {
			return "", "", fmt.Errorf("%q is one word, want a path and a label", line)
		}
		return strings.TrimSpace(line[:at]), line[at+1:], nil
	})
	if err != nil {
		return nil, fmt.Errorf("open data set: %w", err)
	}
	return l.dataset()
}

// list is a list of photos being read.
type list struct {
	path    string
	entries []entry
}

type entry struct {
	path  string
	label int
	line  int
}

// read takes the photos from the file. parse splits a line, which is neither empty nor has blanks at its ends; one for
// which it returns no photo is passed over.
func (l *list) read(path string, parse func(line string) (photo, label string, err error)) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // read only: nothing is lost
	l.path = path
	var faults problems
	scanner := bufio.NewScanner(file)
	for number := 1; scanner.Scan(); number++ {
		line := strings.TrimSpace(strings.TrimPrefix(scanner.Text(), "\ufeff"))
		if line == "" {
			continue
		}
		if strings.Contains(line, "\x00") {
			return fmt.Errorf("%w: %s is no text file; name a list, or the folder that holds the photos", ErrList, path)
		}
		photo, text, err := parse(line)
		if err != nil {
			faults.add("%s:%d: %v", path, number, err)
			continue
		}
		if photo == "" {
			continue
		}
		label, err := strconv.Atoi(text)
		if err != nil || label < 0 {
			faults.add("%s:%d: label %q is no whole number from 0 upwards", path, number, text)
			continue
		}
		photo = filepath.FromSlash(photo)
		if !filepath.IsAbs(photo) {
			photo = filepath.Join(filepath.Dir(path), photo)
		}
		l.entries = append(l.entries, entry{filepath.Clean(photo), label, number})
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("%w: read %s: %w; is it a text file?", ErrList, path, err)
	}
	return faults.err()
}

// dataset checks the photos and returns them as a data set.
func (l *list) dataset() (*Dataset, error) {
	if len(l.entries) == 0 {
		return nil, fmt.Errorf("open data set: %w: %s names no photos; write a path and a label in each line", ErrList, l.path)
	}
	var twice, absent problems
	lines := map[string]int{}
	for _, e := range l.entries {
		if before, known := lines[e.path]; known {
			twice.add("%s:%d: %s is in line %d already", l.path, e.line, e.path, before)
			continue
		}
		lines[e.path] = e.line
		if !isFile(e.path) {
			absent.add("%s:%d: there is no photo %s", l.path, e.line, e.path)
		}
	}
	if err := errors.Join(twice.err(), absent.err()); err != nil {
		return nil, fmt.Errorf("open data set: %w", err)
	}
	slices.SortFunc(l.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.label, b.label), cmp.Compare(a.path, b.path))
	})
	d := &Dataset{}
	for i, e := range l.entries {
		if i == 0 || e.label != l.entries[i-1].label {
			d.Classes = append(d.Classes, strconv.Itoa(e.label))
		}
		label := len(d.Classes) - 1
		d.Photos = append(d.Photos, photos.Photo{Path: e.path, Class: d.Classes[label]})
		d.Labels = append(d.Labels, label)
	}
	if len(d.Classes) < 2 {
		return nil, fmt.Errorf("open data set: %w: %s has photos of one class only, %s; at least 2 are needed to compare",
			ErrList, l.path, d.Classes[0])
	}
	return d, nil
}

// problems collects faults of one kind: the first few, and how many there are.
type problems struct {
	shown []error
	count int
}

func (p *problems) add(format string, args ...any) {
	if p.count++; p.count <= faultsShown {
		p.shown = append(p.shown, fmt.Errorf("%w: "+format, append([]any{ErrList}, args...)...))
	}
}

func (p *problems) err() error {
	if more := p.count - len(p.shown); more > 0 {
		return errors.Join(append(p.shown, fmt.Errorf("and %d more, %d in all", more, p.count))...)
	}
	return errors.Join(p.shown...)
}
