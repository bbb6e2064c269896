package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"xbmedge/agent/internal/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node notes what it is asked for.
type node struct {
	done    []string
	replies chan Reply
	refused chan string
	work    func(ctx context.Context) // takes its time over an operation; may be nil
}

func newNode() *node { return &node{replies: make(chan Reply, 1000), refused: make(chan string, 1000)} }

func (n *node) Gallery(ctx context.Context, r *control.Request) (any, error) {
	if n.work != nil {
		n.work(ctx)
	}
	n.done = append(n.done, strings.TrimSpace(fmt.Sprintf("%s %s%s %s", r.Op, r.ID, strings.Join(r.IDs, "+"), r.Name)))
	if r.ID == "nobody" {
		return nil, errors.New("nobody is not enrolled")
	}
	return map[string]int{"n": 3}, nil
}

func (n *node) Reload(context.Context) error {
	n.done = append(n.done, "reload")
	return nil
}

func (n *node) Set(camera, feature, value string) error {
	if feature != "recognition" {
		return fmt.Errorf("%q is no feature", feature)
	}
	n.done = append(n.done, camera+" "+feature+" "+value)
	return nil
}

func (n *node) Reply(r Reply) { n.replies <- r }

func (n *node) Refused(camera, feature, code, why string) {
	n.refused <- fmt.Sprintf("%s %s %s: %s", camera, feature, code, why)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// ask hands one message to the desk and returns the reply.
func ask(t *testing.T, d *Desk, n *node, m Message) Reply {
	t.Helper()
	d.handle(t.Context(), m)
	select {
	case r := <-n.replies:
		if r.Schema != ReplySchema || r.TS == 0 {
			t.Errorf("reply %+v", r)
		}
		return r
	default:
		t.Fatal("no reply")
		return Reply{}
	}
}

func TestCommandsAreCarriedOut(t *testing.T) {
	n := newNode()
	d := New("", n, quiet())
	for i, tt := range []struct{ command, done string }{
		{`"op":"info"`, "info"},
		{`"op":"rename","id":"cup","name":"Cup"`, "rename cup Cup"},
		{`"op":"delete","id":"cup"`, "remove cup"},
		{`"op":"delete","ids":["cup","mug"]`, "remove cup+mug"},
		{`"op":"enroll","name":"Cup","camera":"shelf","seconds":3,"last":true`, "enroll  Cup"},
		{`"op":"reject","id":"cup","event":"1.2-abc"`, "reject cup"},
		{`"op":"threshold","threshold":0.5`, "threshold"},
		{`"op":"reload"`, "reload"},
	} {
		n.done = nil
		r := ask(t, d, n, Message{Payload: fmt.Appendf(nil, `{"req":"r%d",%s}`, i, tt.command)})
		if diff := cmp.Diff([]string{tt.done}, n.done); diff != "" || !r.OK || r.Req != fmt.Sprintf("r%d", i) || !strings.Contains(tt.command, fmt.Sprintf(`"op":%q`, r.Op)) {
			t.Errorf("%s: %+v\n%s", tt.command, r, diff)
		}
	}
	r := ask(t, d, n, Message{Payload: []byte(`{"req":"x","op":"rename","id":"nobody","name":"N"}`)})
	if r.OK || r.Code != CodeFailed || r.Error != "nobody is not enrolled" || r.Op != "rename" {
		t.Errorf("%+v", r)
	}
}

func TestRefusedCommands(t *testing.T) {
	nested := func(depth int) string { // in the command, which is the first level
		return `{"req":"r","op":"add","id":"a","name":"A","samples":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
	}
	for _, tt := range []struct{ name, payload, code, why string }{
		{"65 KiB", `{"req":"r","op":"info"` + strings.Repeat(" ", 65<<10) + `}`, CodeSize, "at most 65536"},
		{"a byte too many", `{"req":"r","op":"info"}` + strings.Repeat(" ", MaxSize+1-23), CodeSize, "65537 bytes"},
		{"17 levels", nested(17), CodeDepth, "more than 16"},
		{"16 levels", nested(16), CodeType, "samples"},
		{"a million brackets", strings.Repeat("[", 60000), CodeDepth, "more than 16"},
		{"nothing", ``, CodeSyntax, "no JSON"},
		{"text", `rename cup`, CodeSyntax, "no JSON"},
		{"an array", `[]`, CodeSyntax, "JSON object"},
		{"null", `null`, CodeSyntax, "JSON object"},
		{"two", `{"req":"r","op":"info"} {}`, CodeSyntax, "more than one"},
		{"cut", `{"req":"r","op":"in`, CodeSyntax, "no JSON"},
		{"no req", `{"op":"info"}`, CodeReq, "another for each"},
		{"a number as req", `{"req":7,"op":"info"}`, CodeReq, "another for each"},
		{"a long req", `{"req":"` + strings.Repeat("r", 65) + `","op":"info"}`, CodeReq, "1 to 64"},
		{"no op", `{"req":"r"}`, CodeOp, "missing"},
		{"an unknown op", `{"req":"r","op":"explode"}`, CodeOp, `"explode" is no operation`},
		{"an unknown field", `{"req":"r","op":"info","force":true}`, CodeField, `no field "force"`},
		{"a field in capitals", `{"req":"r","op":"rename","ID":"a","name":"A"}`, CodeField, `no field "ID"`},
		{"a field twice", `{"req":"r","op":"rename","id":"a","id":"b","name":"A"}`, CodeField, "twice"},
		{"an unknown field below", `{"req":"r","op":"enroll","name":"A","pictures":[{"url":"x"}]}`, CodeField, "url"},
		{"a wrong type", `{"req":"r","op":"rename","id":7,"name":"A"}`, CodeType, `"id" is a number; want string`},
		{"a negative number", `{"req":"r","op":"forget","vector":-1}`, CodeType, "vector"},
		{"delete of nothing", `{"req":"r","op":"delete"}`, CodeFailed, "want an id"},
	} {
		n := newNode()
		d := New("", n, quiet())
		m := Message{Payload: []byte(tt.payload)}
		d.Receive(m)
		r := ask(t, d, n, <-d.inbox)
		if r.OK || r.Code != tt.code || !strings.Contains(r.Error, tt.why) || len(n.done) > 0 || len(r.Error) > 400 {
			t.Errorf("%s: %+v, done %v; want %s, %q", tt.name, r, n.done, tt.code, tt.why)
		}
	}
}

// A command is carried out once, however often it comes, and the first answer is given again.
func TestACommandIsCarriedOutOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "commands.json")
	n := newNode()
	d := New(path, n, quiet())
	m := Message{Payload: []byte(`{"req":"7","op":"rename","id":"cup","name":"Cup"}`)}
	first := ask(t, d, n, m)
	second := ask(t, d, n, m)
	m.Retained = true
	third := ask(t, d, n, m)
	if !first.OK || first.Again || !second.OK || !second.Again || !third.Again || string(second.Result) != `{"n":3}` || len(n.done) != 1 {
		t.Errorf("%+v, %+v, %+v; done %v", first, second, third, n.done)
	}
	other := ask(t, d, n, Message{Payload: []byte(`{"req":"7","op":"rename","id":"mug","name":"Mug"}`)})
	if other.OK || other.Code != CodeReq || len(n.done) != 1 {
		t.Errorf("another command with the same req: %+v; done %v", other, n.done)
	}
	// After a restart it is known, though not how it ended.
	restarted := New(path, n, quiet())
	if r := ask(t, restarted, n, Message{Payload: m.Payload}); r.OK || !r.Again || !strings.Contains(r.Error, "restarted") || len(n.done) != 1 {
		t.Errorf("after a restart: %+v; done %v", r, n.done)
	}
	for i := range remembered { // and forgotten after many others
		ask(t, restarted, n, Message{Payload: fmt.Appendf(nil, `{"req":"n%d","op":"info"}`, i)})
	}
	if len(restarted.journal.entries) != remembered || restarted.journal.find("7") != nil {
		t.Errorf("%d commands are remembered", len(restarted.journal.entries))
	}
}

func TestRetainedCommandIsRefused(t *testing.T) {
	n := newNode()
	r := ask(t, New("", n, quiet()), n, Message{Payload: []byte(`{"req":"7","op":"delete","id":"cup"}`), Retained: true})
	if r.OK || r.Code != CodeRetained || r.Req != "7" || len(n.done) != 0 {
		t.Errorf("%+v; done %v", r, n.done)
	}
}

func TestDamagedJournalIsBegunAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "commands.json")
	if err := os.WriteFile(path, []byte(`{"version":`), 0o600); err != nil {
		t.Fatal(err)
	}
	n := newNode()
	if r := ask(t, New(path, n, quiet()), n, Message{Payload: []byte(`{"req":"7","op":"delete","id":"cup"}`)}); !r.OK {
		t.Errorf("%+v", r)
	}
	var f journalFile
	if text, err := os.ReadFile(path); err != nil || json.Unmarshal(text, &f) != nil || len(f.Entries) != 1 {
		t.Errorf("%v, %+v", err, f)
	}
}

func TestFeatures(t *testing.T) {
	n := newNode()
	d := New("", n, quiet())
	for _, m := range []Message{
		{Camera: "shelf", Feature: "recognition", Payload: []byte("OFF")},
		{Camera: "shelf", Feature: "colour", Payload: []byte("red")},
		{Camera: "shelf", Feature: "recognition", Payload: []byte("ON"), Retained: true},
		{Camera: "shelf", Feature: "recognition", Payload: []byte(strings.Repeat("N", 65))},
	} {
		d.handle(t.Context(), m)
	}
	close(n.refused)
	var refused []string
	for r := range n.refused {
		refused = append(refused, r[:strings.IndexByte(r, ':')])
	}
	if diff := cmp.Diff([]string{"shelf colour feature", "shelf recognition retained", "shelf recognition size"}, refused); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"shelf recognition OFF"}, n.done); diff != "" {
		t.Error(diff)
	}
}

// Ten seconds of 10,000 commands a second: a few are carried out, the rest is refused in one reply a second, and taking
// one costs nothing that would hold up the connection.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode()
		d := New("", n, quiet())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { d.Run(ctx); close(ended) }()
		sent := 0
		for range 10 * 100 {
			for range 100 {
				d.Receive(Message{Payload: fmt.Appendf(nil, `{"req":"%d","op":"info"}`, sent)})
				sent++
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		cancel()
		<-ended
		close(n.replies)
		ok, floods, refused := 0, 0, uint64(0)
		for r := range n.replies {
			switch {
			case r.OK:
				ok++
			case r.Code == CodeRate && strings.Contains(r.Error, "too many"):
				floods++
				refused += r.Refused
			default:
				t.Errorf("%+v", r)
			}
		}
		if ok < burst || ok > burst+10*perSecond+1 || ok+int(refused) != sent || floods > 12 {
			t.Errorf("%d sent, %d carried out, %d refused in %d replies", sent, ok, refused, floods)
		}
		t.Logf("%d sent, %d carried out, %d refused in %d replies", sent, ok, refused, floods)
	})
}

// A command that takes a minute holds others up, and neither the end of the program nor the word of a flood.
func TestSlowCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode()
		n.work = func(ctx context.Context) {
			select {
			case <-time.After(time.Minute):
			case <-ctx.Done():
			}
		}
		d := New("", n, quiet())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { d.Run(ctx); close(ended) }()
		for i := range waiting + 4 { // one at work, the others wait, and three are too many
			d.Receive(Message{Payload: fmt.Appendf(nil, `{"req":"%d","op":"info"}`, i)})
			synctest.Wait()
		}
		time.Sleep(1500 * time.Millisecond)
		if r := <-n.replies; r.Code != CodeRate || r.Refused != 3 {
			t.Errorf("%+v", r)
		}
		cancel()
		<-ended
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"req":"r","op":"enroll","name":"A","pictures":[{"name":"p","data":"AAAA"}]}`, `{"req":"r","op":"add","samples":[{"vector":[1,0.5]}]}`, `[[`, `{"a":{"a":1,"a":2}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, why := parse(payload)
		if r == nil || why == nil && (!reqText.MatchString(r.Req) || operations()[r.Op].fields == nil && r.Name != "") {
			t.Errorf("%+v, %v", r, why)
		}
		if why == nil && walk(payload) != nil {
			t.Error("taken, though it cannot be walked")
		}
	})
}
