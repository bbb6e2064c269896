package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"xbmedge/internal/vision"
)

// page answers with the whole page.
func (s *Server) page(w http.ResponseWriter, _ *http.Request, session string) {
	s.render(w, http.StatusOK, "page.html", s.view(session, ""))
}

// part answers with one part of the page as it is now, or that it is what the asker has.
func (s *Server) part(w http.ResponseWriter, r *http.Request, session string) {
	name := r.PathValue("name")
	if !isPart(name) {
		http.NotFound(w, r)
		return
	}
	var out bytes.Buffer
	if err := s.pages.ExecuteTemplate(&out, name, s.view(session, name)); err != nil {
		s.fault(w, err)
		return
	}
	sum := fnv.New64a()
	_, _ = sum.Write(out.Bytes()) // cannot fail
	version := strconv.FormatUint(sum.Sum64(), 36)
	w.Header().Set("Xbm-Version", version)
	if r.FormValue("have") == version {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(out.Bytes()) // who asked may have gone
}

func isPart(name string) bool {
	switch name {
	case "cameras", "strangers", "events", "things", "thresholds", "health", "names":
		return true
	}
	return false
}

func (s *Server) render(w http.ResponseWriter, code int, name string, data any) {
	var out bytes.Buffer
	if err := s.pages.ExecuteTemplate(&out, name, data); err != nil {
		s.fault(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(out.Bytes()) // who asked may have gone
}

func (s *Server) fault(w http.ResponseWriter, err error) {
	s.parts.Log.Error("the page has a fault", "error", err)
	http.Error(w, "The page has a fault; the agent's log says which.", http.StatusInternalServerError)
}

// asset answers with a file that belongs to the page.
func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	kinds := map[string]string{"style.css": "text/css; charset=utf-8", "script.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}
	name := r.PathValue("name")
	data, err := fs.ReadFile(assets, "assets/"+name)
	if err != nil || kinds[name] == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kinds[name])
	_, _ = w.Write(data) // who asked may have gone
}

// drawn is a thing in view as the page's script wants it.
type drawn struct {
	Box   [4]float64 `json:"box"`
	Name  string     `json:"name"`
	Score float32    `json:"score"`
	Known bool       `json:"known"`
	Told  bool       `json:"told"`
}

// livePicture answers with a camera's next picture, and in a header with what is in it. At most a few wait at once.
func (s *Server) livePicture(w http.ResponseWriter, r *http.Request, _ string) {
	window := s.parts.Scene.window(r.PathValue("id"))
	if window == nil {
		http.NotFound(w, r)
		return
	}
	select {
	case s.looking <- struct{}{}:
		defer func() { <-s.looking }()
	default:
		w.Header().Set("Retry-After", "2")
		http.Error(w, "Too many are looking.", http.StatusTooManyRequests)
		return
	}
	after, _ := strconv.ParseInt(r.FormValue("after"), 10, 64) // none: any picture
	shot, err := window.look(r.Context(), after)
	if err != nil {
		if errors.Is(err, errNoFrames) {
			http.Error(w, "The camera gives no picture.", http.StatusServiceUnavailable)
		}
		return
	}
	picture, err := window.encoded(shot)
	if err != nil {
		s.fault(w, err)
		return
	}
	things := make([]drawn, 0, len(shot.things))
	for _, t := range shot.things {
		things = append(things, drawn{t.Box, title(t.Identity, t.Known), t.Score, t.Known, t.Told})
	}
	text, err := json.Marshal(things)
	if err != nil {
		s.fault(w, err)
		return
	}
	w.Header().Set("Xbm-Shot", strconv.FormatInt(shot.number, 10))
	w.Header().Set("Xbm-Things", url.PathEscape(string(text)))
	sendPicture(w, picture)
}

func (s *Server) eventPicture(w http.ResponseWriter, r *http.Request, _ string) {
	e, known := s.parts.Scene.event(r.PathValue("id"))
	if !known || e.picture.Pix == nil {
		http.NotFound(w, r)
		return
	}
	var out bytes.Buffer
	if err := vision.EncodeJPEG(&out, e.picture, quality); err != nil {
		s.fault(w, err)
		return
	}
	sendPicture(w, out.Bytes())
}

// thingPicture answers with an enrolled picture.
func (s *Server) thingPicture(w http.ResponseWriter, r *http.Request, _ string) {
	number, err := strconv.ParseUint(r.PathValue("vector"), 10, 64)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	picture, err := s.parts.Gallery().Crop(number)
	if err != nil { // none was kept, or the file was replaced a moment ago
		http.NotFound(w, r)
		return
	}
	sendPicture(w, picture)
}

// sendPicture sends a JPEG or PNG, and nothing else as one: what came from a file is not trusted.
func sendPicture(w http.ResponseWriter, data []byte) {
	kind := http.DetectContentType(data)
	if kind != "image/jpeg" && kind != "image/png" {
		http.Error(w, "That is no picture.", http.StatusUnsupportedMediaType)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(data) // who asked may have gone
}

// loginPage asks for the token.
func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) {
	if s.parts.Token == "" || s.access.current(r) != "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	s.render(w, http.StatusOK, "login.html", map[string]string{"Node": s.parts.Node})
}

// login begins a session for who knows the token.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	if s.parts.Token == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if !s.access.tries.take(r.RemoteAddr) {
		w.Header().Set("Retry-After", strconv.Itoa(int(triesTime/time.Second)))
		s.render(w, http.StatusTooManyRequests, "login.html", map[string]string{"Node": s.parts.Node, "Wrong": "Too many attempts. Wait a minute."})
		return
	}
	if !s.access.right(r.PostFormValue("token")) {
		s.parts.Log.Warn("a wrong token at the page", "from", r.RemoteAddr)
		s.render(w, http.StatusUnauthorized, "login.html", map[string]string{"Node": s.parts.Node, "Wrong": "That is not the token."})
		return
	}
	s.access.tries.right(r.RemoteAddr)
	s.parts.Log.Info("logged in at the page", "from", r.RemoteAddr)
	http.SetCookie(w, s.access.session(r))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// logout makes the browser forget its session.
func (s *Server) logout(w http.ResponseWriter, r *http.Request, _ string) {
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func megabytes(n uint64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }
