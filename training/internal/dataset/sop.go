package dataset

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// The lists of Stanford Online Products (Song et al., CVPR 2016, arXiv 1511.06452): 59,551 photos of 11,318 products
// to train on, 60,502 of 11,316 others to test with.
const (
	sopTrain  = "Ebay_train.txt"
	sopTest   = "Ebay_test.txt"
	sopHeader = "image_id class_id super_class_id path"
)

// openSOP opens one half of Stanford Online Products; a class is a product. That no product is in both halves is what
// the figures rest on, so it is checked where both lists are there.
func openSOP(root, name string) (*Dataset, error) {
	half, err := readSOP(filepath.Join(root, name))
	if err != nil {
		return nil, fmt.Errorf("open data set: %w", err)
	}
	other := sopTest
	if name == sopTest {
		other = sopTrain
	}
	if path := filepath.Join(root, other); isFile(path) {
		rest, err := readSOP(path)
		if err != nil {
			return nil, fmt.Errorf("open data set: %w", err)
		}
		if err := disjoint(half, rest); err != nil {
			return nil, fmt.Errorf("open data set: %w", err)
		}
	}
	return half.dataset()
}

func readSOP(path string) (*list, error) {
	l := &list{}
	header := true
	err := l.read(path, func(line string) (photo, label string, err error) {
		fields := strings.Fields(line)
		if header {
			header = false
			if strings.Join(fields, " ") != sopHeader {
				return "", "", fmt.Errorf("the list begins with %q, want %q", line, sopHeader)
			}
			return "", "", nil
		}
		if len(fields) != 4 {
			return "", "", fmt.Errorf("%d words, want 4: %s", len(fields), sopHeader)
		}
		return fields[3], fields[1], nil
	})
	return l, err
}

// disjoint reports the classes that two lists share.
func disjoint(a, b *list) error {
	in := map[int]bool{}
	for _, e := range a.entries {
		in[e.label] = true
	}
	both := map[int]bool{}
	var shared []int
	for _, e := range b.entries {
		if in[e.label] && !both[e.label] {
			both[e.label] = true
			shared = append(shared, e.label)
		}
	}
	if len(shared) == 0 {
		return nil
	}
	slices.Sort(shared)
	first := strings.Trim(fmt.Sprint(shared[:min(len(shared), faultsShown)]), "[]")
	return fmt.Errorf("%w: %d classes are in %s and in %s as well, the first of them %s; take each out of one of the lists",
		ErrList, len(shared), a.path, b.path, first)
}
