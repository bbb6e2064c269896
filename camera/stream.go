package camera

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"

	"xbmedge/internal/vision"
)

// stream reads motion JPEG over HTTP without OpenCV, which would take a multiple of the memory.
type stream struct {
	motionJPEG
	response *http.Response
	cancel   context.CancelFunc
	waiting  Frame // the first picture, until it is read
}

// maxDamaged is how many pictures in a row may be damaged before a stream counts as lost.
const maxDamaged = 10

// openStream asks for a stream and takes its first picture. What it cannot read, such as a camera that wants another way to
// log in, or no motion JPEG, is left to OpenCV: the error wraps ErrNoOpenCV.
func openStream(cfg Config) (*stream, error) {
	ctx, cancel := context.WithCancel(context.Background())
	timer := time.AfterFunc(cfg.Patience()/2, cancel) // the other half is OpenCV's; later pictures are waited for by who reads
	s, err := begin(ctx, cfg)
	if err != nil {
		cancel()
		return nil, err
	}
	s.cancel = cancel
	if err := s.next(&s.waiting); err != nil || !timer.Stop() {
		return nil, errors.Join(fmt.Errorf("its first picture cannot be read: %w", ErrNoOpenCV), s.Close())
	}
	return s, nil
}

// begin returns a stream whose answer has begun.
func begin(ctx context.Context, cfg Config) (*stream, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, cfg.Address, http.NoBody)
	if err != nil {
		return nil, errors.New("the address is no URL") // not err, which repeats it with its password
	}
	client := http.Client{Transport: &http.Transport{DisableCompression: true}}
	response, err := client.Do(request) //nolint:bodyclose // Close does
	if err != nil {
		return nil, fmt.Errorf("it gives no answer that can be read: %w", ErrNoOpenCV)
	}
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || response.StatusCode != http.StatusOK || kind != "multipart/x-mixed-replace" {
		return nil, errors.Join(fmt.Errorf("its answer, %.40q of type %.40q, is no motion JPEG: %w", response.Status, kind, ErrNoOpenCV),
			response.Body.Close())
	}
	return &stream{response: response, motionJPEG: motionJPEG{reader: bufio.NewReaderSize(response.Body, 64<<10)}}, nil
}

func (s *stream) Read(ctx context.Context, f *Frame) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.waiting.Seq > 0 {
		*f, s.waiting = s.waiting, Frame{}
		return nil
	}
	for damaged := 1; ; damaged++ {
		err := s.next(f)
		if !errors.Is(err, errDamaged) || damaged == maxDamaged {
			return err
		}
	}
}

var errDamaged = errors.New("damaged picture")

// next takes the next picture. What lies between pictures, boundaries and headers, is passed over: cameras do not agree on
// how that is written.
func (s *stream) next(f *Frame) error {
	s.buf.Reset()
	err := toJPEG(s.reader)
	if err == nil {
		err = nextJPEG(s.reader, &s.buf)
	}
	if err != nil {
		return fmt.Errorf("the camera gives no more frames: %v", err) //nolint:errorlint // an io.EOF would be the end of a clip
	}
	captured := time.Now()
	s.seq++
	decoded, err := vision.DecodeBytes(s.buf.Bytes())
	if err != nil {
		return fmt.Errorf("frame %d: %w: %w", s.seq, errDamaged, err)
	}
	f.Frame, f.Seq, f.Captured = decoded, s.seq, captured
	return nil
}

// Close lets go of the camera, whatever it is doing.
func (s *stream) Close() error {
	s.cancel()
	return s.response.Body.Close()
}
