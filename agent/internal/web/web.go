// Package web serves a page for people: what the cameras see with boxes and names, the latest events, strangers to name,
// things to enroll, correct, rename and remove, thresholds and health. It changes nothing by itself: what is asked for is
// handed to the control operations, as from the socket.
//
// Without a token the page is for programs of this machine. With one, whoever knows it may log in. It needs nothing from
// elsewhere, and every part is in the program.
package web

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"time"

	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/health"
	"xbmedge/agent/internal/stats"
	"xbmedge/internal/gallery"
)

const (
	maxConnections = 64 // open at once; who comes then waits
	maxLooking     = 8  // requests that wait for a camera's picture
	maxForm        = 64 << 10
)

//go:embed assets
var assets embed.FS

// Parts are what the page shows and asks. The functions may be called from several goroutines. Strangers returns the
// ids of the remembered ones, seen last first.
type Parts struct {
	Node      string
	Token     string // "": none is asked for
	Changes   control.Handler
	Gallery   func() *gallery.Gallery
	Stats     func() stats.Stats
	Stages    func() []health.State
	Strangers func() []string
	Scene     *Scene
	Log       *slog.Logger
}

// Server serves the page. It must be closed.
type Server struct {
	parts   Parts
	access  *access
	pages   *template.Template
	spread  spread
	looking chan struct{}

	http   *http.Server
	listen net.Listener
	stop   context.CancelFunc
	done   chan error
}

// Listen serves the page on host:port.
func Listen(address string, parts Parts) (*Server, error) {
	s, err := newServer(parts)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("web.listen: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.listen, s.stop, s.done = l, stop, make(chan error, 1)
	s.http = &http.Server{
		Handler: s.handler(), BaseContext: func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: 90 * time.Second, IdleTimeout: 30 * time.Second,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(parts.Log.Handler(), slog.LevelDebug),
	}
	go func() { s.done <- s.http.Serve(newBounded(l, maxConnections)) }()
	parts.Log.Info("the page for people is served", "address", "http://"+l.Addr().String(), "token", parts.Token != "")
	return s, nil
}

func newServer(parts Parts) (*Server, error) {
	pages, err := template.New("").ParseFS(assets, "assets/*.html")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return &Server{parts: parts, access: newAccess(parts.Token), pages: pages, looking: make(chan struct{}, maxLooking)}, nil
}

// Addr returns where it listens.
func (s *Server) Addr() net.Addr { return s.listen.Addr() }

// Close ends the server and waits for it. Who waits for a picture or an enrolment is cut off.
func (s *Server) Close() error {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// handler returns all of the page.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{name}", s.asset)
	mux.HandleFunc("GET /login", s.loginPage)
	mux.HandleFunc("POST /login", s.login)
	mux.Handle("GET /{$}", s.inside(s.page))
	mux.Handle("GET /part/{name}", s.inside(s.part))
	mux.Handle("GET /camera/{id}/picture", s.inside(s.livePicture))
	mux.Handle("GET /event/{id}/picture", s.inside(s.eventPicture))
	mux.Handle("GET /thing/{vector}/picture", s.inside(s.thingPicture))
	mux.Handle("POST /do/{what}", s.inside(s.change))
	mux.Handle("POST /logout", s.inside(s.logout))
	return s.guard(mux)
}

// guard sets what every answer carries and refuses what another site sends.
func (s *Server) guard(next http.Handler) http.Handler {
	protected := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin") // with none, a form would not say where it comes from
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if s.parts.Token == "" && !local(r) {
			http.Error(w, "This page is for this machine: ask for it as localhost.", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		protected.ServeHTTP(w, r)
	})
}

// visitor handles a request of a session.
type visitor func(w http.ResponseWriter, r *http.Request, session string)

// inside lets through those who are logged in, and of what changes something only forms of the page itself.
func (s *Server) inside(v visitor) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session := s.access.current(r)
		switch {
		case session != "":
		case s.parts.Token != "" && r.Method == http.MethodGet && r.URL.Path == "/":
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		case s.parts.Token != "":
			http.Error(w, "Log in first.", http.StatusUnauthorized)
			return
		case r.Method == http.MethodGet: // this machine is trusted, but forms need a session to belong to
			c := s.access.session(r)
			http.SetCookie(w, c)
			session = c.Value
		}
		if r.Method == http.MethodPost && !s.access.genuine(r, session) {
			http.Error(w, "This form is not of this page, or too old: load the page again.", http.StatusForbidden)
			return
		}
		v(w, r, session)
	})
}
