package vision

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"os"
)

// Limits on what is decoded: a small file can claim any size, and the board has little memory.
const (
	// MaxPixels is the largest picture that is decoded, in pixels.
	MaxPixels = 100_000_000
	// maxBytes is the largest file that is read; a PNG of MaxPixels that does not compress at all fits.
	maxBytes = 3*MaxPixels + 1<<20
)

// The reasons for which a picture is refused; test with errors.Is.
var (
	ErrFormat   = errors.New("neither a JPEG nor a PNG picture")
	ErrTooLarge = fmt.Errorf("picture is larger than %d megapixels; make it smaller", MaxPixels/1_000_000)
)

// Decode reads one JPEG or PNG picture to the end of r and turns it the way its EXIF orientation says (JPEG only).
// Pictures of more than MaxPixels are refused before their pixels are decoded. Damaged or hostile input gives an error.
func Decode(r io.Reader) (Frame, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		return Frame{}, fmt.Errorf("read picture: %w", err)
	}
	if len(data) > maxBytes {
		return Frame{}, ErrTooLarge
	}
	return DecodeBytes(data)
}

// DecodeBytes is Decode for a picture in memory. It does not keep data.
func DecodeBytes(data []byte) (Frame, error) {
	decodeConfig, decode, isJPEG := png.DecodeConfig, png.Decode, false
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8")):
		decodeConfig, decode, isJPEG = jpeg.DecodeConfig, jpeg.Decode, true
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
	case len(data) == 0:
		return Frame{}, fmt.Errorf("empty file: %w", ErrFormat)
	default:
		return Frame{}, ErrFormat
	}
	config, err := decodeConfig(bytes.NewReader(data))
	if err != nil {
		return Frame{}, fmt.Errorf("decode picture: %w", err)
	}
	if config.Width <= 0 || config.Height <= 0 {
		return Frame{}, fmt.Errorf("decode picture: %d×%d has no pixels", config.Width, config.Height)
	}
	// In this order no product can overflow, whatever the header claims.
	if config.Width > MaxPixels/config.Height {
		return Frame{}, fmt.Errorf("%d×%d: %w", config.Width, config.Height, ErrTooLarge)
	}
	var img image.Image
	if img, err = decode(bytes.NewReader(data)); err != nil {
		return Frame{}, fmt.Errorf("decode picture: %w", err)
	}
	frame := FromImage(img)
	if isJPEG {
		frame = orient(frame, exifOrientation(data))
	}
	return frame, nil
}

// DecodeFile is Decode for a file; its errors name the file.
func DecodeFile(path string) (Frame, error) {
	file, err := os.Open(path)
	if err != nil {
		return Frame{}, fmt.Errorf("open picture: %w", err)
	}
	defer func() { _ = file.Close() }() // read only: nothing is lost
	frame, err := Decode(file)
	if err != nil {
		return Frame{}, fmt.Errorf("%s: %w", path, err)
	}
	return frame, nil
}

// EncodeJPEG writes the frame as a baseline JPEG with 4:2:0 chroma; quality is 1 (small) to 100 (good).
func EncodeJPEG(w io.Writer, f Frame, quality int) error {
	if err := f.Validate(); err != nil {
		return err
	}
	if quality < 1 || quality > 100 {
		return fmt.Errorf("JPEG quality %d is not in 1…100", quality)
	}
	return jpeg.Encode(w, f.rgba(), &jpeg.Options{Quality: quality})
}

// EncodePNG writes the frame without loss.
func EncodePNG(w io.Writer, f Frame) error {
	if err := f.Validate(); err != nil {
		return err
	}
	return png.Encode(w, f.rgba())
}
