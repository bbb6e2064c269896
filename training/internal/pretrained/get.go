package pretrained

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/weightfile"
)

// The limits of a download.
const (
	maxBytes = 512 << 20
	stalled  = time.Minute // without a byte
)

// Got says what Get has found or downloaded.
type Got struct {
	Path   string
	SHA256 string
	Cached bool // it was there already
}

// Get returns the file of the weights in folder, and downloads it where it is not there. Only a file that has the
// published sum, and holds tensors, is kept; an unfinished one never is. Progress is told the bytes that have come and,
// where the server says, of how many (else -1).
func Get(ctx context.Context, client *http.Client, w Weights, folder string, progress func(done, total int64)) (*Got, error) {
	got := &Got{Path: filepath.Join(folder, w.File()), Cached: true}
	content, err := os.ReadFile(got.Path)
	if err == nil {
		if got.SHA256, err = check(&w, content); err != nil {
			return nil, fmt.Errorf("%s: %w; remove it, and it is fetched anew", got.Path, err)
		}
		return got, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read weights: %w", err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // published weights
		return nil, fmt.Errorf("make the folder for weights: %w", err)
	}
	if err := atomicfile.Check(got.Path); err != nil {
		return nil, err
	}
	if content, err = download(ctx, client, w.URL, progress); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("download %s: %w; without a network, fetch %s by other means and put it at %s", w.Name, err, w.URL, got.Path)
	}
	if got.SHA256, err = check(&w, content); err != nil {
		return nil, fmt.Errorf("download %s from %s: %w; nothing was kept", w.Name, w.URL, err)
	}
	got.Cached = false
	return got, atomicfile.WriteBytes(got.Path, 0o644, content)
}

// check returns the content's sum, or says why it cannot be the weights.
func check(w *Weights, content []byte) (string, error) {
	sum := sha256.Sum256(content)
	text := hex.EncodeToString(sum[:])
	if !strings.HasPrefix(text, w.SHA256) {
		return "", fmt.Errorf("its SHA-256 is %s, which does not begin with the published %s: it is damaged, or another file", text, w.SHA256)
	}
	if _, err := weightfile.Parse(content); err != nil {
		return "", err
	}
	return text, nil
}

// download returns what the server has at an https address.
func download(ctx context.Context, client *http.Client, address string, progress func(done, total int64)) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(stalled, func() { cancel(fmt.Errorf("nothing came for %v", stalled)) })
	defer watch.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	if request.URL.Scheme != "https" {
		return nil, errors.New("it is no https address")
	}
	secure := *client
	secure.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		if next.URL.Scheme != "https" || len(via) > 5 {
			return fmt.Errorf("redirected to %s", next.URL)
		}
		return nil
	}
	response, err := secure.Do(request)
	if err != nil {
		return nil, cause(ctx, err)
	}
	defer func() { _ = response.Body.Close() }() // read to its end or given up
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", response.Status)
	}
	if response.ContentLength > maxBytes {
		return nil, fmt.Errorf("the server offers %d bytes: that is too large", response.ContentLength)
	}
	var content bytes.Buffer
	chunk := make([]byte, 64<<10)
	for {
		n, err := response.Body.Read(chunk)
		content.Write(chunk[:n])
		if n > 0 {
			watch.Reset(stalled)
			progress(int64(content.Len()), response.ContentLength)
		}
		switch {
		case content.Len() > maxBytes:
			return nil, fmt.Errorf("the server sends more than %d bytes", maxBytes)
		case errors.Is(err, io.EOF):
			return content.Bytes(), nil
		case err != nil:
			return nil, cause(ctx, err)
		}
	}
}

// cause returns why a download was given up, or err.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	if u := (&url.Error{}); errors.As(err, &u) {
		return u.Err // the address is named anyway
	}
	return err
}
