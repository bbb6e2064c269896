//go:build !linux

package doctor

import (
	"errors"
	"io/fs"
)

func machine() string { return "" }

func synchronised() (yes, known bool) { return false, false }

func space(string) (Space, error) { return Space{}, errors.New("not known on this system") }

func owner(fs.FileInfo) (uid, gid uint32) { return 0, 0 }
