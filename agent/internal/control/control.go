// Package control is how other programs of the machine talk to an agent that runs: one JSON object a line, a request
// there and a reply back, over a Unix socket. What is asked for is carried out by a Handler, which may as well be given
// requests that came another way.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// MaxRequest is the size of the largest request and the largest reply, in bytes.
const MaxRequest = 16 << 20

// Request asks for one operation. Which fields an operation reads says its Handler.
type Request struct {
	Req         string               `json:"req,omitempty"` // chosen by who asks, and in the reply again
	Op          string               `json:"op"`
	ID          string               `json:"id,omitempty"`  // of an identity
	IDs         []string             `json:"ids,omitempty"` // of several
	Name        string               `json:"name,omitempty"`
	Vector      uint64               `json:"vector,omitempty"` // number of an embedding
	Pictures    []Picture            `json:"pictures,omitempty"`
	Samples     []Sample             `json:"samples,omitempty"`
	Embedding   []float32            `json:"embedding,omitempty"`
	Event       string               `json:"event,omitempty"` // id of a match event
	Camera      string               `json:"camera,omitempty"`
	Seconds     float64              `json:"seconds,omitempty"`
	Threshold   *float32             `json:"threshold,omitempty"`
	FAR         float64              `json:"far,omitempty"`
	Most        int                  `json:"most,omitempty"` // embeddings of an identity that are kept
	Calibration *gallery.Calibration `json:"calibration,omitempty"`
	Revision    uint64               `json:"revision,omitempty"` // the gallery's that the request is about
	Force       bool                 `json:"force,omitempty"`
	Last        bool                 `json:"last,omitempty"` // nothing more of this kind follows: calibrate
}

// Picture is a picture as a file has it, JPEG or PNG, or, within a program, as a frame.
type Picture struct {
	Name  string       `json:"name,omitempty"` // for messages
	Data  []byte       `json:"data,omitempty"`
	Frame vision.Frame `json:"-"`
}

// Decode returns the picture's pixels.
func (p *Picture) Decode() (vision.Frame, error) {
	if p.Frame.Pix != nil {
		return p.Frame, nil
	}
	f, err := vision.DecodeBytes(p.Data)
	if err != nil {
		return vision.Frame{}, fmt.Errorf("picture %s: %w", p.Name, err)
	}
	return f, nil
}

// Sample is an embedding from another gallery of the same model.
type Sample struct {
	Vector []float32 `json:"vector"`
	Crop   []byte    `json:"crop,omitempty"` // its picture
	Added  time.Time `json:"added,omitzero"`
}

// Reply answers a request: Result when it was carried out, Error when it was not, in which case nothing has changed.
type Reply struct {
	Req    string          `json:"req,omitempty"`
	OK     bool            `json:"ok"`
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// Handler carries out requests. It may be called from several goroutines. The result is put into the reply as JSON.
type Handler interface {
	Handle(ctx context.Context, r *Request) (result any, err error)
}

// ParseRequest reads a request, and refuses what is no request and fields that there are not.
func ParseRequest(line []byte) (*Request, error) {
	if len(line) > MaxRequest {
		return nil, fmt.Errorf("request: larger than %d bytes", MaxRequest)
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	var r Request
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("request: more than one object in a line")
	}
	if r.Op == "" {
		return nil, errors.New(`request: "op" is missing`)
	}
	return &r, nil
}

// Answer carries out what one line asks for.
func Answer(ctx context.Context, h Handler, line []byte) Reply {
	r, err := ParseRequest(line)
	if err != nil {
		return Reply{Error: err.Error()}
	}
	result, err := h.Handle(ctx, r)
	if err != nil {
		return Reply{Req: r.Req, Error: err.Error()}
	}
	text, err := json.Marshal(result)
	if err != nil {
		return Reply{Req: r.Req, Error: fmt.Sprintf("done, but the answer cannot be told: %v", err)}
	}
	return Reply{Req: r.Req, OK: true, Result: text}
}
