//go:build !cgo || !gocv_videoio

package camera

// Available returns nil when OpenCV is compiled in, and otherwise ErrNoOpenCV.
func Available() error { return ErrNoOpenCV }

// Version returns the versions of gocv and OpenCV compiled in, or "".
func Version() string { return "" }

func openVideo(Config) (Source, error) { return nil, ErrNoOpenCV }
