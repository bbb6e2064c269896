package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/curator"
	"xbmedge/internal/gallery"
)

const (
	maxSeconds = 30 // of an enrolment from a camera
	keepMost   = 32 // embeddings of a thing that is enrolled, as xbm-agent enroll does
)

// said is the outcome of a change, for people.
type said struct {
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

// change carries out what a form asks for.
func (s *Server) change(w http.ResponseWriter, r *http.Request, _ string) {
	what := r.PathValue("what")
	request, err := toRequest(what, r.PostFormValue)
	if err != nil {
		s.tell(w, r, http.StatusBadRequest, said{false, err.Error()})
		return
	}
	if request == nil {
		http.NotFound(w, r)
		return
	}
	if what == "reject" { // of a stay in view the latest picture is meant, which must be the one that was looked at
		if e, known := s.parts.Scene.event(request.Event); !known || strconv.FormatInt(e.Shown, 10) != r.PostFormValue("shown") {
			s.tell(w, r, http.StatusConflict, said{false, "It was seen again meanwhile: look at its picture now, and say it once more."})
			return
		}
	}
	result, err := s.parts.Changes.Handle(r.Context(), request)
	if err != nil {
		s.tell(w, r, http.StatusUnprocessableEntity, said{false, err.Error()})
		return
	}
	s.parts.Log.Info("changed from the page", "op", request.Op, "id", request.ID, "ids", request.IDs, "from", r.RemoteAddr)
	if what == "reject" {
		s.parts.Scene.wrong(request.Event)
	}
	out, _ := result.(*curator.Outcome) // nil says less
	s.tell(w, r, http.StatusOK, said{true, message(what, request, out)})
}

// toRequest returns what a form asks for, nil where there is no such form.
func toRequest(what string, field func(string) string) (*control.Request, error) {
	id, name := field("id"), strings.TrimSpace(field("name"))
	if name == "" && (what == "name" || what == "enroll" || what == "rename") {
		return nil, errors.New("a name is missing")
	}
	switch what {
	case "name":
		if !strings.HasPrefix(id, gallery.UnknownID+"-") {
			return nil, fmt.Errorf("%q is no stranger", id)
		}
		return &control.Request{Op: "name", ID: id, Name: name}, nil
	case "reject":
		if id == "" || field("event") == "" {
			return nil, errors.New("which event shows what it is not?")
		}
		return &control.Request{Op: "reject", ID: id, Event: field("event")}, nil
	case "enroll":
		seconds, err := strconv.ParseFloat(field("seconds"), 64)
		if err != nil || !(seconds > 0 && seconds <= maxSeconds) {
			return nil, fmt.Errorf("%q seconds; want more than 0, up to %d", field("seconds"), maxSeconds)
		}
		return &control.Request{Op: "enroll", Name: name, Camera: field("camera"), Seconds: seconds, Most: keepMost, Last: true}, nil
	case "rename":
		return &control.Request{Op: "rename", ID: id, Name: name}, nil
	case "remove":
		return &control.Request{Op: "remove", IDs: []string{id}}, nil
	case "forget", "unreject":
		number, err := strconv.ParseUint(field("vector"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no picture's number", field("vector"))
		}
		return &control.Request{Op: what, Vector: number}, nil
	case "threshold":
		t, err := strconv.ParseFloat(strings.Replace(field("threshold"), ",", ".", 1), 32)
		if err != nil || !(t > 0 && t <= 1) {
			return nil, fmt.Errorf("threshold %q; want more than 0, up to 1", field("threshold"))
		}
		value := float32(t)
		return &control.Request{Op: "threshold", Threshold: &value}, nil
	}
	return nil, nil //nolint:nilnil // no such form
}

// message says what a change did.
func message(what string, r *control.Request, out *curator.Outcome) string {
	if out == nil {
		out = &curator.Outcome{}
	}
	var text string
	switch what {
	case "name":
		text = fmt.Sprintf("%s is %s from now on; the threshold is %.3f.", r.ID, r.Name, out.Threshold)
	case "reject":
		text = fmt.Sprintf("Noted: that is not %s. What looks like it will not be called so.", r.ID)
	case "enroll":
		text = fmt.Sprintf("%s: %d pictures added, %d left out; the threshold is %.3f.", r.Name, out.Added, len(out.Refused)+out.Dropped, out.Threshold)
	case "rename":
		text = fmt.Sprintf("%s is called %s now.", r.ID, r.Name)
	case "remove":
		text = fmt.Sprintf("%s is forgotten.", strings.Join(r.IDs, ", "))
	case "forget":
		text = "The picture is forgotten."
	case "unreject":
		text = "Taken back."
	case "threshold":
		text = fmt.Sprintf("The threshold is %.3f now.", out.Threshold)
	}
	return strings.Join(append([]string{text}, out.Warnings...), " ")
}

// tell answers the page's script with JSON and a browser without scripts with a page.
func (s *Server) tell(w http.ResponseWriter, r *http.Request, code int, what said) {
	if !strings.Contains(r.Header.Get("Accept"), "application/json") {
		s.render(w, code, "said.html", what)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(what) // who asked may have gone
}
