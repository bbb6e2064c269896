//go:build !cgo || !gocv_videoio

// Package opencv stands in for the real one in a program built without OpenCV.
package opencv

import "xbmedge/camera"

// Available returns nil when OpenCV is compiled in, and otherwise camera.ErrNoOpenCV.
func Available() error { return camera.ErrNoOpenCV }

// Version returns the versions of gocv and OpenCV compiled in, or "".
func Version() string { return "" }

// Open returns camera.ErrNoOpenCV.
func Open(camera.Config) (camera.Source, error) { return nil, camera.ErrNoOpenCV }
