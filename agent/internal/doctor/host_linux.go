package doctor

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func machine() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Machine[:])
}

// synchronised asks the kernel, and then systemd's time service, which does not always tell the kernel.
func synchronised() (yes, known bool) {
	if _, err := os.Stat("/run/systemd/timesync/synchronized"); err == nil {
		return true, true
	}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, false
	}
	return state != unix.TIME_ERROR, true
}

func space(path string) (Space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return Space{}, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	return Space{
		Bytes: s.Bavail * uint64(s.Bsize), Inodes: s.Ffree, CountsNodes: s.Files > 0, ReadOnly: s.Flags&unix.ST_RDONLY != 0,
	}, nil
}

func owner(info fs.FileInfo) (uid, gid uint32) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Uid, s.Gid
	}
	return 0, 0
}
