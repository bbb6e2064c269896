// Package browsertest drives a Chromium without a window in tests, over the pipe of its DevTools protocol.
package browsertest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// patience is how long something on a page is waited for; the machine may have other things to do.
const patience = 60 * time.Second

// Browser is a running browser with one page. Its methods are for the test's goroutine; what fails ends the test.
type Browser struct {
	t       testing.TB
	session string
	in      *os.File
	calls   int

	mu       sync.Mutex
	waiting  map[int]chan reply
	problems []string
}

type message struct {
	ID        int             `json:"id,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

type reply struct {
	result, fault json.RawMessage
}

// Start starts a browser until the test's end, and skips the test where none is installed.
func Start(t testing.TB) *Browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium is installed (apt-get install chromium)")
	}
	there, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, back, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.MkdirTemp("", "xbm-browser")
	if err != nil {
		t.Fatal(err)
	}
	//nolint:gosec // a browser of this machine
	cmd := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage",
		"--user-data-dir="+profile, "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{there, back} // its descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = there.Close(), back.Close() // the browser has its own
	b := &Browser{t: t, in: in, waiting: map[int]chan reply{}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b.read(out)
	}()
	t.Cleanup(func() {
		_ = in.Close() // ends the browser
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = cmd.Wait() // how it ends tells nothing
		}()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		<-read
		_ = os.RemoveAll(profile)
	})
	var target struct {
		TargetID  string `json:"targetId"`
		SessionID string `json:"sessionId"`
	}
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	b.session = target.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", map[string]any{}, nil)
	}
	return b
}

// read takes the browser's messages until it has ended.
func (b *Browser) read(out *os.File) {
	defer out.Close() //nolint:errcheck // only read
	for r := bufio.NewReaderSize(out, 1<<20); ; {
		line, err := r.ReadBytes(0)
		if err != nil {
			b.mu.Lock()
			for _, c := range b.waiting {
				c <- reply{fault: json.RawMessage(`"the browser has ended"`)}
			}
			b.mu.Unlock()
			return
		}
		var m struct {
			message
			Params json.RawMessage `json:"params"`
		}
		if json.Unmarshal(line[:len(line)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		switch {
		case m.ID != 0:
			b.waiting[m.ID] <- reply{m.Result, m.Error}
			delete(b.waiting, m.ID)
		case m.Method == "Log.entryAdded" && (bytes.Contains(m.Params, []byte(`"level":"error"`)) || bytes.Contains(m.Params, []byte(`"level":"warning"`))), m.Method == "Runtime.exceptionThrown":
			b.problems = append(b.problems, string(m.Params))
		}
		b.mu.Unlock()
	}
}

// call asks the browser and fills result, unless it is nil.
func (b *Browser) call(method string, params, result any) {
	b.t.Helper()
	b.calls++
	answer := make(chan reply, 1)
	b.mu.Lock()
	b.waiting[b.calls] = answer
	b.mu.Unlock()
	line, err := json.Marshal(message{ID: b.calls, Method: method, Params: params, SessionID: b.session})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.in.Write(append(line, 0)); err != nil {
		b.t.Fatalf("browser: %s: %v", method, err)
	}
	select {
	case r := <-answer:
		if r.fault != nil {
			b.t.Fatalf("browser: %s: %s", method, r.fault)
		}
		if result != nil {
			if err := json.Unmarshal(r.result, result); err != nil {
				b.t.Fatalf("browser: %s: %v", method, err)
			}
		}
	case <-time.After(patience):
		b.t.Fatalf("browser: %s: no answer", method)
	}
}

// Open shows a page in a window of that size, in pixels; one that is narrow is a phone's.
func (b *Browser) Open(url string, width, height int) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	b.call("Page.navigate", map[string]any{"url": url}, nil)
}

// Eval returns what a script's expression gives, as JSON has it.
func (b *Browser) Eval(script string) any {
	b.t.Helper()
	var out struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true, "awaitPromise": true}, &out)
	if out.ExceptionDetails != nil {
		b.t.Fatalf("browser: %s: %s", script, out.ExceptionDetails)
	}
	return out.Result.Value
}

// Await waits until a script's expression is true.
func (b *Browser) Await(script string) {
	b.t.Helper()
	for begun := time.Now(); b.Eval("try { !!("+script+") } catch { false }") != true; {
		if time.Since(begun) > patience {
			b.t.Fatalf("in vain waited for %s; the page says:\n%v", script, b.Eval("document.body.innerText"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Click presses the mouse on the first element that a CSS selector finds, once it has stayed where it is for a moment.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	b.Await(fmt.Sprintf("document.querySelector(%q)", selector))
	at, ok := b.Eval(fmt.Sprintf(`(async () => {
		for (let before, i = 0; i < 100; i++) {
			const e = document.querySelector(%q);
			e.scrollIntoView({block: "center"});
			const r = e.getBoundingClientRect(), at = [r.x + r.width/2, r.y + r.height/2];
			if (String(at) === before && e.contains(document.elementFromPoint(...at))) return at;
			before = String(at);
			await new Promise(done => setTimeout(done, 100));
		}
	})()`, selector)).([]any)
	if !ok || len(at) != 2 {
		b.t.Fatalf("browser: where is %s? %v", selector, at)
	}
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		b.call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1}, nil)
	}
}

// Type types a text into an element.
func (b *Browser) Type(selector, text string) {
	b.t.Helper()
	b.Await(fmt.Sprintf("document.querySelector(%q)", selector))
	b.Eval(fmt.Sprintf("document.querySelector(%q).focus()", selector))
	b.call("Input.insertText", map[string]any{"text": text}, nil)
}

// Screenshot writes the whole page, or what the window shows of it, as a PNG file.
func (b *Browser) Screenshot(path string, whole bool) {
	b.t.Helper()
	var out struct{ Data []byte }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": whole}, &out)
	if err := os.WriteFile(path, out.Data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// Problems returns what the page's scripts threw and what the browser refused, such as by the page's policy, so far.
func (b *Browser) Problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.problems...)
}
