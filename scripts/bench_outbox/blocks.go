package main

import (
	"io/fs"
	"syscall"
)

// blocks returns what a file takes on the disk, in bytes.
func blocks(info fs.FileInfo) int64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Blocks * 512
	}
	return info.Size()
}
