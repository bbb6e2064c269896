package pretrained

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/internal/nn"
	"xbmedge/internal/testdata"
)

// content is a small file of weights.
func content(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testdata.Root(t), "internal", "weightfile", "testdata", "plain.pth"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestList(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range List() {
		if seen[w.Name] {
			t.Errorf("two are called %s", w.Name)
		}
		seen[w.Name] = true
		if !strings.HasPrefix(w.URL, "https://") || w.Licence == "" {
			t.Errorf("%+v has no https address or no licence", w)
		}
		if w.SHA256 != "" && !strings.Contains(w.File(), "-"+w.SHA256+".") {
			t.Errorf("%s: the sum %s is not that of its name", w.File(), w.SHA256)
		}
		if _, err := nn.Backbone(w.Network, 1, 64, nil); err != nil {
			t.Error(err)
		}
		if found, err := Find(w.Name); err != nil || found != w {
			t.Errorf("%s was not found: %v", w.Name, err)
		}
	}
	if _, err := Find("vgg"); err == nil || !strings.Contains(err.Error(), "torchvision-resnet50") {
		t.Errorf("what is unknown: %v", err)
	}
}

func TestGet(t *testing.T) {
	raw := content(t)
	sum := sha256.Sum256(raw)
	digits := hex.EncodeToString(sum[:])
	requests := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		_, _ = w.Write(raw) // the client may be gone
	}))
	defer server.Close()
	folder := filepath.Join(t.TempDir(), "a", "cache")
	weights := Weights{Name: "w", URL: server.URL + "/w.pth", SHA256: digits[:8]}
	for _, cached := range []bool{false, true} {
		last := int64(0)
		got, err := Get(t.Context(), server.Client(), weights, folder, func(done, _ int64) { last = done })
		if err != nil {
			t.Fatal(err)
		}
		if got.Path != filepath.Join(folder, "w.pth") || got.SHA256 != digits || got.Cached != cached {
			t.Errorf("got %+v", got)
		}
		if kept, err := os.ReadFile(got.Path); err != nil || string(kept) != string(raw) {
			t.Errorf("kept %d bytes: %v", len(kept), err)
		}
		if !cached && last != int64(len(raw)) {
			t.Errorf("progress ended at %d of %d", last, len(raw))
		}
	}
	if requests != 1 {
		t.Errorf("%d requests", requests)
	}
	if err := os.WriteFile(filepath.Join(folder, "w.pth"), raw[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Get(t.Context(), server.Client(), weights, folder, func(int64, int64) {}); err == nil || !strings.Contains(err.Error(), "remove it, and it is fetched anew") {
		t.Errorf("a damaged file in the cache: %v", err)
	}
}

func TestGetRefuses(t *testing.T) {
	raw := content(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/gone.pth", http.NotFound)
	mux.HandleFunc("/other.pth", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(raw[:200]) })
	mux.HandleFunc("/page.pth", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>sign in</html>")) })
	mux.HandleFunc("/plain.pth", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1/w.pth", http.StatusFound)
	})
	mux.HandleFunc("/cut.pth", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5000")
		_, _ = w.Write(raw[:200])
	})
	mux.HandleFunc("/huge.pth", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000000000000")
		w.WriteHeader(http.StatusOK)
	})
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	folder := t.TempDir()
	for _, tt := range []struct{ url, digits, want string }{
		{server.URL + "/gone.pth", "", "404 Not Found"},
		{server.URL + "/other.pth", "12345678", "does not begin with the published 12345678"},
		{server.URL + "/page.pth", "", "a web page in its place"},
		{server.URL + "/plain.pth", "", "redirected to http://"},
		{server.URL + "/cut.pth", "", "unexpected EOF"},
		{server.URL + "/huge.pth", "", "too large"},
		{"http://127.0.0.1/w.pth", "", "no https address"},
		{"https://127.0.0.1:1/w.pth", "", "fetch https://127.0.0.1:1/w.pth by other means and put it at " + filepath.Join(folder, "w.pth")},
	} {
		w := Weights{Name: "w", URL: tt.url, SHA256: tt.digits}
		if got, err := Get(t.Context(), server.Client(), w, folder, func(int64, int64) {}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, error %v, want %q", tt.url, got, err, tt.want)
		}
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Get(ctx, server.Client(), Weights{URL: server.URL + "/other.pth"}, folder, func(int64, int64) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
