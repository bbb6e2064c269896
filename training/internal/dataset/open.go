package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Kind is a way in which photos and their classes are laid out.
type Kind string

// The kinds that OpenTrain and OpenTest read.
const (
	Folders Kind = "folders"                  // one sub-folder a class, in train/ and test/ where there are those
	List    Kind = "list"                     // a text file: path and label in each line
	SOP     Kind = "stanford online products" // as it is distributed: Ebay_train.txt, Ebay_test.txt and *_final folders
)

// KindOf tells how the data set at path is laid out: a file is a list, a folder with an Ebay_train.txt or
// Ebay_test.txt is Stanford Online Products, and any other folder holds class folders.
func KindOf(path string) (Kind, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("open data set: there is no %s; name a folder of class folders, or a list of photos (%w)", path, os.ErrNotExist)
	case err != nil:
		return "", fmt.Errorf("open data set: %w", err)
	case !info.IsDir():
		return List, nil
	case isFile(filepath.Join(path, sopTrain)) || isFile(filepath.Join(path, sopTest)):
		return SOP, nil
	}
	return Folders, nil
}

// OpenTrain opens the photos at path that are to be learned from: all of a list, the training half of Stanford Online
// Products, and of folders those in train/ where there is one. A test/ of classes without a train/ is an error.
func OpenTrain(path string) (*Dataset, error) {
	kind, err := KindOf(path)
	if err != nil {
		return nil, err
	}
	switch kind {
	case List:
		return OpenList(path)
	case SOP:
		return openSOP(path, sopTrain)
	}
	sub := filepath.Join(path, "train")
	if isFolder(sub) {
		return OpenFolders(sub)
	}
	if test := filepath.Join(path, "test"); holdsFolders(test) {
		return nil, fmt.Errorf("open data set: %s is there, but no %s: photos to test with are not trained on; put those to train on there, "+
			"or name the folder of their classes", test, sub)
	}
	return OpenFolders(path)
}

// holdsFolders tells a folder of classes from a class, which may be called test.
func holdsFolders(path string) bool {
	entries, err := os.ReadDir(path)
	return err == nil && slices.ContainsFunc(entries, os.DirEntry.IsDir)
}

// OpenTest opens the photos at path that are measured on: all of a list, which is another one than that trained on; the
// test half of Stanford Online Products, whose classes are all new, so that each photo looks among all others; and of
// folders those in test/, which look among those in train/.
func OpenTest(path string) (*Dataset, error) {
	kind, err := KindOf(path)
	if err != nil {
		return nil, err
	}
	switch kind {
	case List:
		return OpenList(path)
	case SOP:
		return openSOP(path, sopTest)
	}
	sub := filepath.Join(path, "test")
	if !isFolder(sub) {
		return nil, fmt.Errorf("open data set: %s has no folder test/ in it; put photos there that are not trained on", path)
	}
	return OpenFolders(sub)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
