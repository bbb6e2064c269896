package command_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/agent/internal/command"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/agent/internal/web/browsertest"
	"xbmedge/internal/gallery"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflite"
)

// free returns an address of this machine where nobody listens.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// In a real browser: somebody logs in, sees what the camera sees, names a stranger, says that something is not what it was
// taken for, and enrolls, renames and removes a thing; on a phone nothing sticks out. With XBM_SCREENSHOTS, a folder, the
// page is to be looked at afterwards.
func TestThePage(t *testing.T) {
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
	model := testdata.File(t, "tflite/mobilenet_v1_0.25_float.tflite")
	grocery := testdata.Dir(t, "grocery")
	browser := browsertest.Start(t)
	class := func(name string) []string {
		list, err := filepath.Glob(filepath.Join(grocery, "train", name, "*.jpg"))
		if err != nil || len(list) < 4 {
			t.Fatalf("%s: %v, %v", name, list, err)
		}
		return list
	}
	dir := t.TempDir()
	look := func(name string, whole bool) {
		if to := os.Getenv("XBM_SCREENSHOTS"); to != "" {
			browser.Screenshot(filepath.Join(to, name+".png"), whole)
		}
	}
	things, secret := filepath.Join(dir, "things.gallery"), filepath.Join(dir, "token")
	if err := os.WriteFile(secret, []byte("an-ordinary-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, photos := range map[string][]string{"Sour milk": class("Arla-Sour-Milk")[:3], "Leek": class("Leek")[:3]} {
		if _, err := run(t, append([]string{"enroll", "--control", "none", "--gallery", things, "--model", model, "--threshold", "0.8", name}, photos...)...); err != nil {
			t.Fatal(err)
		}
	}
	shown := shelfCamera(t, dir)
	show(t, shown, class("Lemon")[0])
	broker := brokertest.Start(t, "127.0.0.1:0")
	ctx, stop := context.WithCancel(t.Context())
	events := hear(ctx, t, broker.URL(), dir)
	address := free(t)
	agent := make(chan error, 1)
	var log bytes.Buffer
	go func() {
		agent <- command.New().Run(ctx, []string{
			"run", "--control", "none", "--set", "model.path=" + model, "--set", "gallery.path=" + things, "--set", "mqtt.broker=" + broker.URL(),
			"--set", "state_dir=" + dir, "--set", "node=kitchen", "--set", "cameras.shelf.kind=libcamera", "--set", "cameras.shelf.address=0",
			"--set", "cameras.shelf.fps=10", "--set", "track.hold=300ms", "--set", "track.ratio=0", "--set", "web.listen=" + address, "--set", "web.token_file=" + secret,
		}, &bytes.Buffer{}, &log)
	}()
	defer func() {
		if t.Failed() {
			look("failed", true)
			t.Logf("the page says:\n%v\nthe browser: %v", browser.Eval("document.body.innerText"), browser.Problems())
		}
		stop()
		if err := <-agent; err != nil {
			t.Errorf("the agent: %v\n%s", err, log.String())
		}
		if strings.Contains(log.String(), "an-ordinary-token") {
			t.Errorf("the token is in the log:\n%s", log.String())
		}
	}()
	stranger := await(t, events, gallery.UnknownID)

	browser.Open("http://"+address+"/", 1280, 900)
	browser.Await(`document.querySelector("input[name=token]")`)
	look("login", false)
	browser.Type("input[name=token]", "an-ordinary-token")
	browser.Click("button")
	browser.Await(`document.querySelector("[data-camera=shelf] .box span").textContent.startsWith("unknown")`)
	browser.Await(`document.querySelector("[data-camera=shelf] img").naturalWidth > 100`)
	card := `#strangers [data-key="` + stranger.Identity.ID + `"]`
	browser.Await(`document.querySelector('` + card + ` img').naturalWidth == 128`)
	look("stranger", true)

	browser.Type(card+" input[name=name]", "Lemon <i>")
	browser.Click(card + " .inline button")
	await(t, events, "lemon-i")
	browser.Await(`!document.querySelector('` + card + `')`)
	browser.Await(`document.querySelector("[data-camera=shelf] .box.known span").textContent.startsWith("Lemon <i> ")`)
	browser.Await(`[...document.querySelectorAll("#things .title")].some(e => e.textContent == "Lemon <i>")`)
	browser.Await(`document.querySelector("#said").textContent.includes("is Lemon <i> from now on")`)
	look("named", true)

	// Something else is taken for it, and is not.
	show(t, shown, class("Leek")[0])
	leek := await(t, events, "leek")
	browser.Click(`#events [data-key="` + leek.EventID + `"] form button`)
	browser.Await(`document.querySelector("#said.bad").textContent.includes("Leek's embedding")`) // it is: that is an enrolled picture
	// At a low threshold, and where the runner-up does not matter, an apple is a lemon.
	browser.Click(`#thresholds summary`)
	browser.Await(`document.querySelectorAll("#thresholds svg rect").length > 2`)
	browser.Eval(`document.querySelector("#thresholds input[name=threshold]").value = ""`)
	browser.Type(`#thresholds input[name=threshold]`, "0.185")
	browser.Click(`#thresholds form button`)
	browser.Await(`document.querySelector("#said").textContent.includes("The threshold is 0.185")`)
	show(t, shown, class("Royal-Gala")[0])
	wrong := await(t, events, "lemon-i")
	browser.Click(`#events [data-key="` + wrong.EventID + `"] form button`)
	browser.Await(`document.querySelector('#events [data-key="` + wrong.EventID + `"]').textContent.includes("Noted: not")`)
	browser.Await(`/[1-9] counter-example/.test(document.querySelector("#things").textContent)`)
	show(t, shown, class("Lemon")[0])
	browser.Await(`document.querySelector("[data-camera=shelf] .box.known span").textContent.startsWith("Lemon <i> ")`)

	browser.Type("#enroll input[name=name]", "Fruit")
	browser.Eval(`document.querySelector("#enroll input[name=seconds]").value = 1`)
	browser.Click("#enroll button")
	browser.Await(`document.querySelector('#things [data-key="fruit"]')`)
	look("enrolled", true)

	browser.Await(`document.querySelectorAll("#thresholds svg rect").length > 2`)
	browser.Click(`#things [data-key="leek"] summary`)
	browser.Await(`document.querySelector('#things [data-key="leek"] .pictures img').naturalWidth > 50`)
	browser.Eval(`document.querySelector('#things [data-key="leek"] input[name=name]').value = ""`)
	browser.Type(`#things [data-key="leek"] input[name=name]`, "Porree")
	browser.Click(`#things [data-key="leek"] .inline button`)
	browser.Await(`document.querySelector('#things [data-key="leek"] .title').textContent == "Porree"`)
	look("all", true)
	browser.Eval(`window.confirm = () => true`)
	browser.Click(`#things [data-key="fruit"] summary`)
	browser.Click(`#things [data-key="fruit"] .danger`)
	browser.Await(`!document.querySelector('#things [data-key="fruit"]')`)

	browser.Open("http://"+address+"/", 390, 844)
	browser.Await(`document.querySelector("[data-camera=shelf] .box span")`)
	browser.Click(`#thresholds summary`)
	browser.Await(`document.querySelectorAll("#thresholds svg rect").length > 2`)
	browser.Click(`#things summary`)
	look("phone", true)
	if wide := browser.Eval(`document.documentElement.scrollWidth`); wide != 390.0 {
		t.Errorf("on a phone of 390 pixels the page has %v", wide)
	}
	for _, p := range browser.Problems() {
		if !strings.Contains(p, "422") { // the refused rejection
			t.Errorf("the browser complains: %s", p)
		}
	}
	if _, err := run(t, "gallery", "verify", "--gallery", things); err != nil {
		t.Error(err)
	}
}
