package camera

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"xbmedge/internal/vision"
)

// maxJPEG bounds one frame of a motion-JPEG clip, in bytes.
const maxJPEG = 32 << 20

// motionJPEG reads a file of JPEGs one after another without OpenCV.
type motionJPEG struct {
	file   *os.File
	reader *bufio.Reader
	buf    bytes.Buffer
	seq    uint64
}

func openMotionJPEG(path string) (*motionJPEG, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &motionJPEG{file: file, reader: bufio.NewReaderSize(file, 64<<10)}, nil
}

func (m *motionJPEG) Read(ctx context.Context, f *Frame) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.buf.Reset()
	if m.seq == 0 { // a pipe may have been opened in the middle of a picture
		if err := toJPEG(m.reader); err != nil {
			return err
		}
	}
	if err := nextJPEG(m.reader, &m.buf); err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return fmt.Errorf("frame %d: %w", m.seq+1, err)
	}
	m.seq++
	decoded, err := vision.Decode(&m.buf)
	if err != nil {
		return fmt.Errorf("frame %d: %w", m.seq, err)
	}
	f.Frame, f.Seq, f.Captured = decoded, m.seq, time.Now()
	return nil
}

func (m *motionJPEG) Close() error { return m.file.Close() }

// toJPEG skips what comes before the first start-of-image marker, as much as a picture may have. Inside the scan of a
// JPEG there is none. It returns io.EOF when there is nothing at all.
func toJPEG(r *bufio.Reader) error {
	for skipped := 0; skipped < maxJPEG; skipped++ {
		b, err := r.Peek(2)
		switch {
		case len(b) == 2 && b[0] == 0xFF && b[1] == 0xD8:
			return nil
		case len(b) == 0 && skipped == 0:
			return err
		case len(b) == 0:
			return errors.New("there is no JPEG in it")
		}
		if _, err := r.Discard(1); err != nil {
			return err
		}
	}
	return fmt.Errorf("there is no JPEG in its first %d bytes", maxJPEG)
}

// nextJPEG copies one JPEG, from its start-of-image to its end-of-image marker, into out. Segments are skipped by
// their length, since an embedded thumbnail has such markers too (ISO/IEC 10918-1, B.1.1). It returns io.EOF when
// nothing is left, io.ErrUnexpectedEOF in the middle of a picture.
func nextJPEG(r *bufio.Reader, out *bytes.Buffer) error {
	b, err := r.Peek(2)
	if len(b) == 0 && err != nil {
		return err
	}
	if len(b) < 2 || b[0] != 0xFF || b[1] != 0xD8 {
		return errors.New("not a JPEG where one should start")
	}
	if err := take(r, out, 2); err != nil {
		return err
	}
	inScan := false
	for out.Len() < maxJPEG {
		c, err := takeByte(r, out)
		if err != nil {
			return err
		}
		if c != 0xFF {
			if !inScan {
				return errors.New("damaged JPEG: no marker where one should be")
			}
			continue
		}
		for c == 0xFF { // fill bytes
			if c, err = takeByte(r, out); err != nil {
				return err
			}
		}
		switch {
		case c == 0xD9:
			return nil
		case c == 0 || c >= 0xD0 && c <= 0xD7 || c == 0x01: // stuffed byte, restart marker, TEM: no length
			continue
		}
		n, err := r.Peek(2)
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		if err := take(r, out, max(2, int(n[0])<<8|int(n[1]))); err != nil {
			return err
		}
		inScan = c == 0xDA
	}
	return fmt.Errorf("a JPEG of more than %d bytes", maxJPEG)
}

func take(r io.Reader, out *bytes.Buffer, n int) error {
	if _, err := io.CopyN(out, r, int64(n)); err != nil {
		return io.ErrUnexpectedEOF
	}
	return nil
}

func takeByte(r *bufio.Reader, out *bytes.Buffer) (byte, error) {
	c, err := r.ReadByte()
	if err != nil {
		return 0, io.ErrUnexpectedEOF
	}
	return c, out.WriteByte(c)
}
