package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/curator"
	"xbmedge/agent/internal/health"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/agent/internal/stats"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "correct horse battery"

// nasty is a name that would do something, were it not escaped.
const nasty = `<script>alert(1)</script>"' onload=x`

// changes remembers what it was asked for.
type changes struct {
	asked []*control.Request
	err   error
}

func (c *changes) Handle(_ context.Context, r *control.Request) (any, error) {
	c.asked = append(c.asked, r)
	return &curator.Outcome{ID: r.ID, Added: 3, Warnings: []string{"mind " + nasty}}, c.err
}

// nowhere takes what is published.
type nowhere struct{}

func (nowhere) Event(*pipeline.Event) error                                        { return nil }
func (nowhere) State(*pipeline.State)                                              {}
func (nowhere) Status(string, bool)                                                {}
func (nowhere) Embedding(string, *pipeline.Frame, []float32)                       {}
func (nowhere) Candidate(string, *pipeline.Frame, *gallery.Decision, pipeline.Box) {}

// things is a gallery of two things with pictures, one of which has a nasty name.
func things(t *testing.T) *gallery.Gallery {
	t.Helper()
	g, err := gallery.New(gallery.Model{Name: "m", Dim: 3})
	if err != nil {
		t.Fatal(err)
	}
	var crop strings.Builder
	if err := vision.EncodeJPEG(&crop, vision.NewFrame(8, 8), 90); err != nil {
		t.Fatal(err)
	}
	_, err = g.Add("cup", "Cup <b>", []gallery.Sample{{Vector: []float32{1, 0, 0}, Crop: []byte(crop.String())}, {Vector: []float32{1, 0.2, 0}, Crop: []byte("<html>")}})
	_, failed := g.Add("pen", strings.ReplaceAll(nasty, "/", "|"), []gallery.Sample{{Vector: []float32{0, 1, 0}}, {Vector: []float32{0.1, 1, 0}}})
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	return g
}

// parts are a page's with one camera and two events: a cup, and a stranger that is most like the pen.
func parts(t *testing.T, token string) (Parts, *changes) {
	t.Helper()
	g, c, scene := things(t), &changes{}, NewScene()
	_, p := scene.Camera("shelf", nowhere{})
	picture := vision.NewFrame(40, 30)
	for _, e := range []pipeline.Event{
		{ID: "1.000001-aaaaaa", Camera: "shelf", Known: true, Identity: gallery.Identity{ID: "cup", Name: "Cup <b>"}, Score: 0.9, Picture: picture, Time: time.UnixMicro(7)},
		{
			ID: "2.000001-bbbbbb", Camera: "shelf", Identity: gallery.Identity{ID: "unknown-7", Name: nasty}, Score: 0.4, Threshold: 0.5, Picture: picture,
			TopK: []gallery.Candidate{{Identity: gallery.Identity{ID: "pen", Name: nasty}, Score: 0.4}},
		},
	} {
		if err := p.Event(&e); err != nil {
			t.Fatal(err)
		}
	}
	return Parts{
		Node: "board " + nasty, Token: token, Changes: c, Gallery: func() *gallery.Gallery { return g }, Scene: scene, Log: slog.New(slog.DiscardHandler),
		Stats: func() stats.Stats {
			return stats.Stats{Cameras: map[string]stats.Camera{"shelf": {Online: true, FPS: 9.5}}}
		},
		Stages:    func() []health.State { return []health.State{{Name: "camera shelf: capture", Silent: time.Minute}} },
		Strangers: func() []string { return []string{"unknown-7", "unknown-3"} },
	}, c
}

func server(t *testing.T, token string) (*Server, *changes) {
	t.Helper()
	p, c := parts(t, token)
	s, err := newServer(p)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// ask sends a request from this machine; a body makes it a POST of a form.
func ask(s *Server, path, body string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
	if body != "" {
		r = httptest.NewRequest(http.MethodPost, "http://localhost"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, r)
	return w
}

func session(s *Server) *http.Cookie {
	return s.access.session(httptest.NewRequest(http.MethodGet, "/", nil))
}

func form(s *Server, c *http.Cookie, fields ...string) string {
	v := url.Values{"csrf": {s.access.csrf(c.Value)}}
	for i := 0; i < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	return v.Encode()
}

// No name, whoever gave it, gets out of the page's text, and every answer says what may run in it.
func TestNamesAreEscaped(t *testing.T) {
	s, _ := server(t, "")
	c := session(s)
	post := form(s, c, "name", nasty, "id", "unknown-7")
	for _, w := range []*httptest.ResponseRecorder{
		ask(s, "/", ""), ask(s, "/part/events", ""), ask(s, "/part/strangers", ""), ask(s, "/part/things", ""), ask(s, "/part/thresholds", ""),
		ask(s, "/part/health", ""), ask(s, "/part/names", ""), ask(s, "/part/cameras", ""), ask(s, "/do/name", post, c), ask(s, "/do/reject", form(s, c, "id", nasty), c),
	} {
		body := w.Body.String()
		if w.Code != 200 && w.Code != 400 {
			t.Errorf("%d: %.200s", w.Code, body)
		}
		for _, no := range []string{"<script>", "Cup <b>", "ZgotmplZ", `"' onload`} {
			if strings.Contains(body, no) {
				t.Errorf("%q is in the page: …%s", no, body[max(0, strings.Index(body, no)-200):])
			}
		}
		if p := w.Header().Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'self'") || strings.Contains(p, "unsafe") {
			t.Errorf("policy %q", p)
		}
	}
	if body := ask(s, "/", "").Body.String(); !strings.Contains(body, "This is not Cup &lt;b&gt;") || !strings.Contains(body, "It is &lt;script&gt;") ||
		!strings.Contains(body, "silent for 1m0s") || !strings.Contains(body, ">1 more were here before") || strings.Contains(body, "unknown-3") {
		t.Errorf("the page lacks a part:\n%s", body)
	}
}

// Only what belongs to the page is served, and only pictures as pictures.
func TestOnlyWhatThereIs(t *testing.T) {
	s, _ := server(t, "")
	for path, want := range map[string]int{
		"/assets/style.css": 200, "/assets/script.js": 200, "/assets/icon.svg": 200, "/assets/page.html": 404, "/assets/..%2fweb.go": 404,
		"/assets/%2e%2e%2f%2e%2e%2fetc%2fpasswd": 404, "/assets/": 404, "/assets": 404, "/part/page.html": 404, "/part/..": 307, "/part/tiles": 404,
		"/event/1.000001-aaaaaa/picture": 200, "/event/..%2f..%2fpicture/picture": 404, "/event/3/picture": 404, "/camera/attic/picture": 404,
		"/thing/1/picture": 200, "/thing/2/picture": 415, "/thing/3/picture": 404, "/thing/99/picture": 404, "/thing/-1/picture": 404,
		"/thing/..%2f1/picture": 404, "/nothing": 404, "/do/remove": 405,
	} {
		if w := ask(s, path, ""); w.Code != want {
			t.Errorf("%s: %d, want %d: %s", path, w.Code, want, w.Body)
		}
	}
}

func TestPartsThatAreAsBefore(t *testing.T) {
	s, _ := server(t, token)
	c := session(s)
	first := ask(s, "/part/things", "", c)
	if again := ask(s, "/part/things?have="+first.Header().Get("Xbm-Version"), "", c); first.Code != 200 || again.Code != 204 || again.Body.Len() > 0 {
		t.Errorf("%d, then %d with %d bytes", first.Code, again.Code, again.Body.Len())
	}
}

// Changes reach the control operations as they are asked for, and what they say comes back.
func TestChanges(t *testing.T) {
	s, asked := server(t, "")
	c := session(s)
	for _, tt := range []struct {
		what   string
		fields []string
		code   int
		want   control.Request
	}{
		{"name", []string{"id", "unknown-7", "name", " Bob "}, 200, control.Request{Op: "name", ID: "unknown-7", Name: "Bob"}},
		{"name", []string{"id", "unknown-7", "name", " "}, 400, control.Request{}},
		{"name", []string{"id", "cup", "name", "Bob"}, 400, control.Request{}},
		{"reject", []string{"id", "cup", "event", "1.000001-aaaaaa", "shown", "6"}, 409, control.Request{}}, // another picture than the one it is now
		{"reject", []string{"id", "cup", "event", "3", "shown", "0"}, 409, control.Request{}},
		{"reject", []string{"id", "cup", "event", "1.000001-aaaaaa", "shown", "7"}, 200, control.Request{Op: "reject", ID: "cup", Event: "1.000001-aaaaaa"}},
		{"reject", []string{"id", "cup"}, 400, control.Request{}},
		{"enroll", []string{"name", "Cup", "camera", "shelf", "seconds", "5"}, 200, control.Request{Op: "enroll", Name: "Cup", Camera: "shelf", Seconds: 5, Most: 32, Last: true}},
		{"enroll", []string{"name", "Cup", "camera", "shelf", "seconds", "31"}, 400, control.Request{}},
		{"enroll", []string{"name", "Cup", "camera", "shelf", "seconds", "NaN"}, 400, control.Request{}},
		{"rename", []string{"id", "cup", "name", "Mug"}, 200, control.Request{Op: "rename", ID: "cup", Name: "Mug"}},
		{"remove", []string{"id", "cup"}, 200, control.Request{Op: "remove", IDs: []string{"cup"}}},
		{"forget", []string{"vector", "2"}, 200, control.Request{Op: "forget", Vector: 2}},
		{"unreject", []string{"vector", "-2"}, 400, control.Request{}},
		{"threshold", []string{"threshold", "1.5"}, 400, control.Request{}},
		{"reembed", []string{"id", "cup"}, 404, control.Request{}},
	} {
		asked.asked = nil
		w := ask(s, "/do/"+tt.what, form(s, c, tt.fields...), c)
		var got control.Request
		if len(asked.asked) > 0 {
			got = *asked.asked[0]
		}
		if w.Code != tt.code || !equal(got, tt.want) {
			t.Errorf("%s %v: %d, want %d; asked for %+v, want %+v", tt.what, tt.fields, w.Code, tt.code, got, tt.want)
		}
	}
	ask(s, "/do/threshold", form(s, c, "threshold", "0,62"), c)
	if last := asked.asked[len(asked.asked)-1]; last.Threshold == nil || *last.Threshold != 0.62 {
		t.Errorf("%+v", last)
	}
	if e, _ := s.parts.Scene.event("1.000001-aaaaaa"); !e.Wrong {
		t.Error("the rejected event is as before")
	}
	_, p := s.parts.Scene.Camera("shelf", nowhere{})
	again := pipeline.Event{ID: "1.000001-aaaaaa", Type: pipeline.TrackEnd, Known: true}
	if err := p.Event(&again); err != nil {
		t.Fatal(err)
	}
	if e, _ := s.parts.Scene.event("1.000001-aaaaaa"); !e.Wrong || !e.Gone || e.Shown != 7 {
		t.Errorf("when it has left: %+v", e)
	}
	again = pipeline.Event{ID: "1.000001-aaaaaa", Type: pipeline.TrackUpdate, Known: true, Time: time.UnixMicro(8), Picture: vision.NewFrame(9, 9)}
	if err := p.Event(&again); err != nil {
		t.Fatal(err)
	}
	if e, _ := s.parts.Scene.event("1.000001-aaaaaa"); e.Wrong || e.Shown != 8 {
		t.Errorf("with another picture: %+v", e)
	}
	asked.err = errors.New("it cannot be done")
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8090/do/remove", strings.NewReader(form(s, c, "id", "cup")))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.AddCookie(c)
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, r)
	if text := strings.TrimSpace(w.Body.String()); w.Code != 422 || text != `{"ok":false,"message":"it cannot be done"}` {
		t.Errorf("%d: %s", w.Code, text)
	}
}

func equal(a, b control.Request) bool {
	return a.Op == b.Op && a.ID == b.ID && strings.Join(a.IDs, " ") == strings.Join(b.IDs, " ") && a.Name == b.Name && a.Vector == b.Vector &&
		a.Event == b.Event && a.Camera == b.Camera && a.Seconds == b.Seconds && a.Most == b.Most && a.Last == b.Last
}

// A form without end is not read, and who waits is cut off when the agent ends.
func TestListenAndClose(t *testing.T) {
	p, asked := parts(t, "")
	s, err := Listen("127.0.0.1:0", p)
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + s.Addr().String()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	c := session(s)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/do/remove", strings.NewReader(form(s, c, "id", strings.Repeat("x", maxForm))))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.AddCookie(c)
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != 403 || len(asked.asked) > 0 {
		t.Errorf("%d; asked for %v", answer.StatusCode, asked.asked)
	}
	ended := make(chan error, 1)
	go func() {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/camera/shelf/picture", nil)
		if err == nil {
			var answer *http.Response
			if answer, err = client.Do(r); err == nil {
				_, err = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
			}
		}
		ended <- err
	}()
	for w := p.Scene.window("shelf"); !w.Looks(); {
		time.Sleep(time.Millisecond) // until it waits
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	if _, err := Listen("127.0.0.1:99999", p); err == nil || !strings.Contains(err.Error(), "web.listen") {
		t.Errorf("no such port: %v", err)
	}
}
