// Package commands carries out what arrives on a node's command topics, and answers each with what was done or why it was
// not. It trusts nobody: what is too large, too deep, unknown, of the wrong type or too much is refused before it costs
// anything, and a command that the broker kept or brings again is not carried out again.
//
// It knows no broker. Receive takes messages and never waits; Run carries them out, one after another.
package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"xbmedge/agent/internal/control"
)

// The codes of refusals.
const (
	CodeSize     = "size"     // larger than MaxSize
	CodeDepth    = "depth"    // deeper than MaxDepth
	CodeSyntax   = "syntax"   // no JSON object
	CodeReq      = "req"      // none, or that of another command
	CodeOp       = "op"       // unknown
	CodeField    = "field"    // unknown, or twice
	CodeType     = "type"     // of a field
	CodeRetained = "retained" // kept by the broker
	CodeRate     = "rate"     // too many at once
	CodeFailed   = "failed"   // the operation says why; nothing has changed
	CodeFeature  = "feature"  // unknown camera or feature, or no value for it
)

const (
	burst     = 20 // commands at once, of each kind
	perSecond = 5  // and in the long run
	waiting   = 16 // commands that wait for those before them
	// refusedEvery is how often it is told that commands were too many.
	refusedEvery = time.Second
)

// Message is what arrived on a command topic: with a Camera and a Feature a value for that, and else a gallery command.
type Message struct {
	Camera, Feature string
	Payload         []byte
	Retained        bool

	size int // of a payload that is not kept, since it is too large
}

// Reply answers a gallery command.
type Reply struct {
	Schema  string          `json:"schema"`
	Req     string          `json:"req,omitempty"` // of the command, where it could be read
	Op      string          `json:"op,omitempty"`
	OK      bool            `json:"ok"`
	Code    string          `json:"code,omitempty"`    // why not
	Error   string          `json:"error,omitempty"`   // the same for people
	Refused uint64          `json:"refused,omitempty"` // commands that this answers, where they were too many
	Again   bool            `json:"again,omitempty"`   // the command had come before and was not carried out anew
	Result  json.RawMessage `json:"result,omitempty"`
	TS      float64         `json:"ts"` // Unix time, seconds
}

// ReplySchema names the shape of a Reply.
const ReplySchema = "reply/1"

// Node is what commands are about.
type Node interface {
	// Gallery carries out an operation on the gallery.
	Gallery(ctx context.Context, r *control.Request) (any, error)
	// Reload takes over a changed configuration, model and gallery.
	Reload(ctx context.Context) error
	// Set gives a camera's feature a value.
	Set(camera, feature, value string) error
	// Reply sends the answer to a gallery command. It does not wait.
	Reply(r Reply)
	// Refused tells that a value for a feature was not taken. It does not wait.
	Refused(camera, feature, code, why string)
}

// Desk takes commands. Receive may be called from any goroutine, before, during and after Run.
type Desk struct {
	node    Node
	journal *journal
	inbox   chan Message
	gallery *bucket
	feature *bucket
	log     *slog.Logger

	flooded, floodedFeatures atomic.Uint64
	refused, done            atomic.Uint64
}

// New returns a desk that remembers commands in a file, "" for none. A file that is damaged is told and begun anew.
func New(path string, node Node, log *slog.Logger) *Desk {
	j, err := openJournal(path)
	if err != nil {
		log.Error("commands of before the start are not known again", "error", err)
	}
	return &Desk{
		node: node, journal: j, inbox: make(chan Message, waiting),
		gallery: newBucket(burst, perSecond), feature: newBucket(burst, perSecond), log: log,
	}
}

// Stats returns how many commands were carried out and how many refused since the start.
func (d *Desk) Stats() (done, refused uint64) { return d.done.Load(), d.refused.Load() }

// Receive takes a message, or counts it where there are too many. It keeps the payload.
func (d *Desk) Receive(m Message) {
	limit, flooded := d.gallery, &d.flooded
	if m.Feature != "" {
		limit, flooded = d.feature, &d.floodedFeatures
	}
	if !limit.take(time.Now()) {
		d.refused.Add(1)
		flooded.Add(1)
		return
	}
	if len(m.Payload) > MaxSize { // it will be refused, and takes no memory while it waits for that
		m.size, m.Payload = len(m.Payload), nil
	}
	select {
	case d.inbox <- m:
	default: // those before it take their time
		d.refused.Add(1)
		flooded.Add(1)
	}
}

// Run carries out commands until ctx ends; what is at work then hears of it.
func (d *Desk) Run(ctx context.Context) {
	told := make(chan struct{})
	go func() {
		defer close(told)
		d.tellFloods(ctx)
	}()
	for ctx.Err() == nil {
		select {
		case m := <-d.inbox:
			d.handle(ctx, m)
		case <-ctx.Done():
		}
	}
	<-told
}

// tellFloods answers commands that were too many together, once a second.
func (d *Desk) tellFloods(ctx context.Context) {
	ticker := time.NewTicker(refusedEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		const why = "too many: at most 20 at once, 5 a second, and 16 wait for those before them; send it again later"
		if n := d.flooded.Swap(0); n > 0 {
			d.log.Warn("commands refused: too many", "refused", n)
			d.node.Reply(stamp(Reply{Code: CodeRate, Error: why, Refused: n}))
		}
		if n := d.floodedFeatures.Swap(0); n > 0 {
			d.log.Warn("values for features refused: too many", "refused", n)
			d.node.Refused("", "", CodeRate, fmt.Sprintf("%d values for features were %s", n, why))
		}
	}
}

func (d *Desk) handle(ctx context.Context, m Message) {
	if m.Feature != "" {
		d.set(m)
		return
	}
	reply := d.command(ctx, m)
	if !reply.OK {
		d.log.Warn("command refused", "req", reply.Req, "op", reply.Op, "code", reply.Code, "error", reply.Error)
	}
	d.node.Reply(stamp(reply))
}

func (d *Desk) command(ctx context.Context, m Message) Reply {
	if m.size > 0 {
		return d.no(&control.Request{}, refuse(CodeSize, "%d bytes; a command has at most %d", m.size, MaxSize))
	}
	r, why := parse(m.Payload)
	if why != nil {
		return d.no(r, why)
	}
	if e := d.journal.find(r.Req); e != nil {
		return d.again(e, r, m.Payload)
	}
	if m.Retained {
		return d.no(r, refuse(CodeRetained, "the broker kept this command for whoever comes later, so nobody knows when it was meant: "+
			"it is not carried out; send an empty retained message to its topic, and the command without retain"))
	}
	op := operations()[r.Op]
	if err := d.journal.begin(entry{r.Req, r.Op, sum(m.Payload), time.Now().UTC(), nil}, !op.reads); err != nil {
		d.log.Error("a restart will not know this command again", "req", r.Req, "error", err)
	}
	reply := d.carryOut(ctx, r)
	d.journal.end(r.Req, reply)
	return reply
}

// no is the reply to a command that is not carried out.
func (d *Desk) no(r *control.Request, why *refusal) Reply {
	d.refused.Add(1)
	return Reply{Req: r.Req, Op: r.Op, Code: why.code, Error: why.text}
}

// again answers a command that was begun before.
func (d *Desk) again(e *entry, r *control.Request, payload []byte) Reply {
	if e.Sum != sum(payload) {
		return d.no(r, refuse(CodeReq, "another command had this req (%s, %s); give each its own", e.Op, e.Begun.Format(time.RFC3339)))
	}
	if e.Reply == nil {
		reply := d.no(r, refuse(CodeFailed, "it was begun before the agent restarted, and how it ended is not known; ask with the op info"))
		reply.Again = true
		return reply
	}
	reply := *e.Reply
	reply.Again = true
	return reply
}

func (d *Desk) carryOut(ctx context.Context, r *control.Request) Reply {
	var result any
	var err error
	op := r.Op
	if op == "reload" {
		err = d.node.Reload(ctx)
	} else {
		if op == "delete" {
			err = renameDelete(r)
		}
		if err == nil {
			result, err = d.node.Gallery(ctx, r)
		}
	}
	if err != nil {
		d.refused.Add(1)
		return Reply{Req: r.Req, Op: op, Code: CodeFailed, Error: err.Error()}
	}
	d.done.Add(1)
	d.log.Info("command carried out", "req", r.Req, "op", op)
	reply := Reply{Req: r.Req, Op: op, OK: true}
	if result != nil {
		if reply.Result, err = json.Marshal(result); err != nil {
			reply.Result, reply.Error = nil, fmt.Sprintf("done, but the answer cannot be told: %v", err)
		}
	}
	return reply
}

// renameDelete makes the contract's delete, of one id or several, the curator's remove.
func renameDelete(r *control.Request) error {
	if (r.ID == "") == (len(r.IDs) == 0) {
		return errors.New("delete: want an id, or ids")
	}
	if r.ID != "" {
		r.ID, r.IDs = "", []string{r.ID}
	}
	r.Op = "remove"
	return nil
}

// maxValue is the length of the longest value of a feature, in bytes.
const maxValue = 64

func (d *Desk) set(m Message) {
	no := func(code, why string) {
		d.refused.Add(1)
		d.log.Warn("value for a feature refused", "camera", m.Camera, "feature", m.Feature, "error", why)
		d.node.Refused(m.Camera, m.Feature, code, why)
	}
	switch {
	case m.Retained:
		no(CodeRetained, "the broker kept this value; features are kept by the agent, so send it without retain")
	case max(m.size, len(m.Payload)) > maxValue:
		no(CodeSize, fmt.Sprintf("%d bytes; a feature's value has at most %d", max(m.size, len(m.Payload)), maxValue))
	default:
		if err := d.node.Set(m.Camera, m.Feature, string(m.Payload)); err != nil {
			no(CodeFeature, err.Error())
			return
		}
		d.done.Add(1)
	}
}

func stamp(r Reply) Reply {
	r.Schema, r.TS = ReplySchema, float64(time.Now().UnixMilli())/1000
	return r
}
