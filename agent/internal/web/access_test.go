package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Who gets in where: with a token only those who are logged in, without one only this machine.
func TestWhoGetsIn(t *testing.T) {
	open, _ := server(t, "")
	closed, asked := server(t, token)
	other, _ := server(t, "another token than that")
	good := session(closed)
	expired := *good
	closed.access.now = func() time.Time { return time.Now().Add(-sessionTime - time.Minute) }
	expired.Value = session(closed).Value
	closed.access.now = time.Now
	later := *good // longer than was signed
	later.Value = "9" + good.Value
	bare := *good
	bare.Value = strings.TrimRight(good.Value, "0123456789abcdef")
	private := []string{
		"/part/events", "/part/health", "/camera/attic/picture", "/event/1.000001-aaaaaa/picture", "/thing/1/picture",
	}
	for name, tt := range map[string]struct {
		server  *Server
		cookies []*http.Cookie
		page    int
		in      bool
	}{
		"no token":            {open, nil, 200, true},
		"nobody":              {closed, nil, 303, false},
		"logged in":           {closed, []*http.Cookie{good}, 200, true},
		"expired":             {closed, []*http.Cookie{&expired}, 303, false},
		"changed":             {closed, []*http.Cookie{&later}, 303, false},
		"without signature":   {closed, []*http.Cookie{&bare}, 303, false},
		"of another token":    {closed, []*http.Cookie{session(other)}, 303, false},
		"of one without":      {closed, []*http.Cookie{session(open)}, 303, false},
		"nothing in it":       {closed, []*http.Cookie{{Name: cookieName}}, 303, false},
		"the token as cookie": {closed, []*http.Cookie{{Name: cookieName, Value: "token"}}, 303, false},
	} {
		if w := ask(tt.server, "/", "", tt.cookies...); w.Code != tt.page {
			t.Errorf("%s: the page %d, want %d", name, w.Code, tt.page)
		}
		for _, path := range private {
			if w := ask(tt.server, path, "", tt.cookies...); (w.Code == http.StatusUnauthorized) == tt.in || !tt.in && w.Body.Len() > 20 {
				t.Errorf("%s: %s %d", name, path, w.Code)
			}
		}
		if tt.in {
			continue
		}
		for _, what := range []string{"name", "reject", "enroll", "rename", "remove", "forget", "unreject", "threshold", "x"} {
			if w := ask(tt.server, "/do/"+what, form(closed, good, "id", "cup"), tt.cookies...); w.Code != http.StatusUnauthorized {
				t.Errorf("%s: %s %d", name, what, w.Code)
			}
		}
	}
	if len(asked.asked) > 0 {
		t.Errorf("asked for %v", asked.asked)
	}
}

// Without a token a page elsewhere, whose name was made to point here, gets nothing.
func TestOnlyAsThisMachine(t *testing.T) {
	open, _ := server(t, "")
	closed, _ := server(t, token)
	for host, want := range map[string]int{
		"localhost": 200, "localhost:8090": 200, "127.0.0.1:8090": 200, "[::1]:8090": 200, "[::1]": 200, "127.0.0.2": 200,
		"evil.example": 403, "evil.example:8090": 403, "192.168.1.7:8090": 403, "localhost.evil.example": 403, "": 403,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		open.handler().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", host, w.Code, want)
		}
		w = httptest.NewRecorder()
		r.AddCookie(session(closed))
		closed.handler().ServeHTTP(w, r)
		if w.Code != 200 {
			t.Errorf("with a token %q: %d", host, w.Code)
		}
	}
}

// A form counts only from a page of the same session and the same site.
func TestForms(t *testing.T) {
	for _, token := range []string{"", token} {
		s, asked := server(t, token)
		mine, yours := session(s), session(s)
		for name, tt := range map[string]struct {
			csrf, header, value string
			cookie              *http.Cookie
			want                int
		}{
			"right":             {s.access.csrf(mine.Value), "", "", mine, 200},
			"from the page":     {s.access.csrf(mine.Value), "Origin", "http://localhost", mine, 200},
			"none":              {"", "", "", mine, 403},
			"another's":         {s.access.csrf(yours.Value), "", "", mine, 403},
			"no session":        {s.access.csrf(mine.Value), "", "", nil, map[bool]int{true: 403, false: 401}[token == ""]},
			"of no session":     {s.access.csrf(""), "", "", nil, map[bool]int{true: 403, false: 401}[token == ""]},
			"another site":      {s.access.csrf(mine.Value), "Origin", "http://evil.example", mine, 403},
			"another port":      {s.access.csrf(mine.Value), "Origin", "http://localhost:81", mine, 403},
			"a hidden origin":   {s.access.csrf(mine.Value), "Origin", "null", mine, 403},
			"a browser says so": {s.access.csrf(mine.Value), "Sec-Fetch-Site", "cross-site", mine, 403},
		} {
			asked.asked = nil
			r := httptest.NewRequest(http.MethodPost, "http://localhost/do/remove", strings.NewReader("id=cup&csrf="+tt.csrf))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if tt.header != "" {
				r.Header.Set(tt.header, tt.value)
			}
			if tt.cookie != nil {
				r.AddCookie(tt.cookie)
			}
			w := httptest.NewRecorder()
			s.handler().ServeHTTP(w, r)
			if w.Code != tt.want || (len(asked.asked) > 0) != (tt.want == 200) || w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s, token %v: %d, want %d; asked %d times", name, token != "", w.Code, tt.want, len(asked.asked))
			}
		}
		// A link cannot change anything, whatever it carries.
		if w := ask(s, "/do/remove?id=cup&csrf="+s.access.csrf(mine.Value), "", mine); w.Code != 405 {
			t.Errorf("a link: %d", w.Code)
		}
	}
}

func TestLogin(t *testing.T) {
	s, _ := server(t, token)
	now := time.Now()
	s.access.tries.now = func() time.Time { return now }
	try := func(token, from string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "http://board.lan:8090/login", strings.NewReader("token="+token))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, r)
		return w
	}
	right := strings.ReplaceAll(token, " ", "+")
	w := try(right, "10.0.0.1:1")
	c := w.Result().Cookies()
	if w.Code != 303 || len(c) != 1 || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode || c[0].Path != "/" {
		t.Fatalf("%d, %+v", w.Code, c)
	}
	if strings.Contains(c[0].Value, token) {
		t.Error("the cookie holds the token")
	}
	if w := ask(s, "/", "", c[0]); w.Code != 200 || !strings.Contains(w.Body.String(), "Log out") {
		t.Errorf("logged in: %d", w.Code)
	}
	for i := range triesEach {
		if w := try("wrong", fmt.Sprintf("10.0.0.2:%d", i)); w.Code != 401 || len(w.Result().Cookies()) > 0 {
			t.Errorf("wrong: %d", w.Code)
		}
	}
	if w := try(right, "10.0.0.2:9"); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("after %d attempts: %d", triesEach, w.Code)
	}
	if w := try(right, "10.0.0.3:9"); w.Code != 303 {
		t.Errorf("from elsewhere: %d", w.Code)
	}
	now = now.Add(triesTime)
	if w := try("", "10.0.0.2:9"); w.Code != 401 {
		t.Errorf("none, a minute later: %d", w.Code)
	}
	for range triesEach + 1 {
		w = try("wrong", fmt.Sprintf("[2001:db8::%x]:1", now.Nanosecond()))
		now = now.Add(time.Nanosecond)
	}
	if w.Code != 429 {
		t.Errorf("from many addresses of one net: %d", w.Code)
	}
	for i := range triesTogether {
		w = try("wrong", fmt.Sprintf("11.0.%d.%d:1", i/250, i%250))
	}
	if w.Code != 429 || len(s.access.tries.since) > triesTogether {
		t.Errorf("from everywhere: %d, %d remembered", w.Code, len(s.access.tries.since))
	}
	out := ask(s, "/logout", form(s, c[0]), c[0])
	if gone := out.Result().Cookies(); out.Code != 303 || len(gone) != 1 || gone[0].MaxAge >= 0 {
		t.Errorf("logged out: %d, %+v", out.Code, gone)
	}
}
