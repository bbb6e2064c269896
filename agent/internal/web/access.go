package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const (
	cookieName = "xbm_session"
	// sessionTime is how long somebody stays logged in.
	sessionTime = 30 * 24 * time.Hour
)

// access decides who may use the page. What it hands out is signed, not remembered: a session outlives a restart of the
// agent, and ends for all when the token is changed.
type access struct {
	token string // "": whoever reaches the page, which then is served to this machine only
	key   []byte
	tries *tries
	now   func() time.Time
}

func newAccess(token string) *access {
	a := &access{token: token, tries: newTries(), now: time.Now}
	if token == "" {
		a.key = []byte(rand.Text())
	} else {
		sum := sha256.Sum256([]byte("session of the page " + token))
		a.key = sum[:]
	}
	return a
}

// sign returns a text's signature.
func (a *access) sign(text string) string {
	m := hmac.New(sha256.New, a.key)
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil))
}

// session returns a new session's cookie. The flag Secure is set where the page came over TLS, from a proxy that says so.
func (a *access) session(r *http.Request) *http.Cookie {
	text := strconv.FormatInt(a.now().Add(sessionTime).Unix(), 10) + "." + rand.Text()
	return &http.Cookie{
		Name: cookieName, Value: text + "." + a.sign(text), Path: "/", MaxAge: int(sessionTime.Seconds()), HttpOnly: true,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https", SameSite: http.SameSiteStrictMode,
	}
}

// current returns a request's session, "" for none that counts.
func (a *access) current(r *http.Request) string {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	at := strings.LastIndexByte(c.Value, '.')
	if at < 0 || subtle.ConstantTimeCompare([]byte(a.sign(c.Value[:at])), []byte(c.Value[at+1:])) != 1 {
		return ""
	}
	until, _, _ := strings.Cut(c.Value, ".")
	if end, err := strconv.ParseInt(until, 10, 64); err != nil || a.now().Unix() > end {
		return ""
	}
	return c.Value
}

// csrf returns what the forms of a session carry, and nobody else can know.
func (a *access) csrf(session string) string { return a.sign("form of " + session) }

// genuine reports whether a form comes from a page of that session.
func (a *access) genuine(r *http.Request, session string) bool {
	return session != "" && subtle.ConstantTimeCompare([]byte(a.csrf(session)), []byte(r.PostFormValue("csrf"))) == 1
}

// right reports whether a token is the right one, in a time that tells nothing of it.
func (a *access) right(token string) bool {
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(a.token))
	return a.token != "" && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// local reports whether a request names this machine as the one it is for. A page elsewhere whose name is made to point
// here cannot: the browser says that name.
func local(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && address.Unmap().IsLoopback()
}
