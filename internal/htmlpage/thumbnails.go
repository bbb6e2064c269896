package htmlpage

import (
	"bytes"
	"context"
	"encoding/base64"
	"html/template"

	"xbmedge/internal/photos"
	"xbmedge/internal/vision"
)

// Pictures are squares of that many pixels: what the network sees of a photo, made small.
const (
	thumbnailSide    = 96
	thumbnailQuality = 80
)

// Thumbnails returns the pictures of photos as data URIs, by path. What cannot be read is missing.
func Thumbnails(ctx context.Context, list []photos.Photo) (map[string]template.URL, error) {
	seen := map[string]bool{}
	var once []photos.Photo
	for _, p := range list {
		if !seen[p.Path] {
			seen[p.Path] = true
			once = append(once, p)
		}
	}
	pictures := map[string]template.URL{}
	resize := vision.NewPreprocessor(thumbnailSide, thumbnailSide)
	_, err := photos.Load(ctx, once, 0, func(i int, f vision.Frame) {
		if uri, err := thumbnail(resize, f); err == nil {
			pictures[once[i].Path] = uri
		}
	})
	if ctx.Err() != nil {
		return nil, err
	}
	return pictures, nil // photos that are gone by now are no reason to keep back the rest of the report
}

func thumbnail(resize *vision.Preprocessor, f vision.Frame) (template.URL, error) {
	small, err := resize.Resize(f)
	if err != nil {
		return "", err
	}
	var jpeg bytes.Buffer
	if err := vision.EncodeJPEG(&jpeg, small, thumbnailQuality); err != nil {
		return "", err
	}
	//nolint:gosec // base64 holds nothing to escape
	return template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(jpeg.Bytes())), nil
}
