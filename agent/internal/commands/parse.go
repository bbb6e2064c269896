package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"xbmedge/agent/internal/control"
)

const (
	// MaxSize is the size of the largest command, in bytes.
	MaxSize = 64 << 10
	// MaxDepth is how deep objects and arrays may lie in each other; a command itself is 1.
	MaxDepth = 16
)

var reqText = regexp.MustCompile(`^[a-zA-Z0-9_.:-]{1,64}$`)

// operation is what can be asked for over MQTT.
type operation struct {
	fields []string // that it reads, besides req and op
	reads  bool     // it changes nothing, so it may be carried out twice
}

// operations are those of the curator, which the package curator describes, and the contract's delete and reload.
func operations() map[string]operation {
	return map[string]operation{
		"info":      {reads: true},
		"enroll":    {fields: []string{"id", "name", "pictures", "camera", "seconds", "most", "last", "threshold", "far", "force"}},
		"add":       {fields: []string{"id", "name", "samples"}},
		"delete":    {fields: []string{"id", "ids"}},
		"remove":    {fields: []string{"ids"}},
		"forget":    {fields: []string{"vector"}},
		"rename":    {fields: []string{"id", "name"}},
		"name":      {fields: []string{"id", "name"}},
		"merge":     {fields: []string{"id", "ids"}},
		"reject":    {fields: []string{"id", "pictures", "samples", "embedding", "event"}},
		"unreject":  {fields: []string{"vector"}},
		"threshold": {fields: []string{"id", "threshold"}},
		"calibrate": {fields: []string{"calibration", "revision", "force"}},
		"reembed":   {},
		"reload":    {},
	}
}

// refusal is why a command is not carried out. Its code is for programs.
type refusal struct {
	code, text string
}

func (r *refusal) Error() string { return r.text }

func refuse(code, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// parse reads a command of at most MaxSize. What could be read of it, such as its req, is returned with the refusal, for the reply.
func parse(payload []byte) (*control.Request, *refusal) {
	var r control.Request
	if why := walk(payload); why != nil {
		return &r, why
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(payload, &fields); err != nil || fields == nil {
		return &r, refuse(CodeSyntax, `a command is a JSON object such as {"req":"1","op":"info"}`)
	}
	_ = json.Unmarshal(fields["req"], &r.Req) // what is no text is told below
	_ = json.Unmarshal(fields["op"], &r.Op)
	head := control.Request{Req: r.Req, Op: r.Op}
	if !reqText.MatchString(r.Req) {
		head.Req = ""
		return &head, refuse(CodeReq, `"req": want 1 to 64 of a-z, A-Z, 0-9, _ . : and -, another for each command: by it one that comes twice is known`)
	}
	if r.Op == "" {
		return &head, refuse(CodeOp, `"op" is missing: what is to be done, as text`)
	}
	op, known := operations()[r.Op]
	if !known {
		head.Op = ""
		return &head, refuse(CodeOp, "%.64q is no operation", r.Op)
	}
	for name := range fields {
		if name != "req" && name != "op" && !slices.Contains(op.fields, name) {
			return &head, refuse(CodeField, "%s reads no field %.64q; want of %q", r.Op, name, op.fields)
		}
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return &head, wrongType(err)
	}
	return &r, nil
}

func wrongType(err error) *refusal {
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return refuse(CodeType, "field %q is a %s; want %s", mismatch.Field, mismatch.Value, mismatch.Type)
	}
	return refuse(CodeField, "%.200s", err.Error())
}

// walk reads a JSON text without building anything of it. It refuses what is none, what lies too deep, and a name that
// stands twice in an object, of which readers take one or the other.
func walk(text []byte) *refusal {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	type level struct {
		names map[string]bool // nil: an array
		value bool            // a value comes next, not a name
	}
	var levels []level
	for first := true; ; first = false {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && len(levels) == 0 && !first {
			return nil
		}
		if err != nil {
			return refuse(CodeSyntax, "no JSON: %.100s, after %d bytes", err.Error(), d.InputOffset())
		}
		if len(levels) == 0 && !first {
			return refuse(CodeSyntax, "more than one JSON value in a command")
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			levels = levels[:len(levels)-1]
			continue
		}
		if n := len(levels); n > 0 && levels[n-1].names != nil {
			in := &levels[n-1]
			if name, ok := token.(string); ok && !in.value {
				if in.names[name] {
					return refuse(CodeField, "field %.64q stands twice in an object", name)
				}
				in.names[name] = true
				in.value = true
				continue
			}
			in.value = false
		}
		if delim, ok := token.(json.Delim); ok {
			if len(levels) == MaxDepth {
				return refuse(CodeDepth, "more than %d objects and arrays in each other", MaxDepth)
			}
			l := level{}
			if delim == '{' {
				l.names = map[string]bool{}
			}
			levels = append(levels, l)
		}
	}
}
