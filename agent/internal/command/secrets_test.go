package command_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/internal/bundle/bundletest"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflite"
)

// The secrets of the test. Each is a word that nothing else contains.
const (
	inBrokerURL   = "zq-brokerurl-7Tx"
	inFallbackURL = "zq-fallbackurl-7Tx"
	inFile        = "zq-passwordfile-7Tx"
	inEnvironment = "zq-environment-7Tx"
	inCameraURL   = "zq-cameraurl-7Tx"
	inCameraQuery = "zq-cameraquery-7Tx"
	inCameraFile  = "zq-camerafile-7Tx"
	inToken       = "zq-webtoken-7Tx-0123456789"
	inKey         = "zqTlsKeyzq7TxzqTlsKeyzq7Tx"
)

// hunt looks for secrets in whatever a program gives away.
type hunt struct {
	t  *testing.T
	mu sync.Mutex
	n  map[string]int // bytes looked at, by their kind
}

// look takes something of a kind. Secrets are also looked for as Base64, as in an HTTP header, in each of its three phases.
func (h *hunt) look(kind string, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n[kind] += len(data)
	for _, secret := range []string{inBrokerURL, inFallbackURL, inFile, inEnvironment, inCameraURL, inCameraQuery, inCameraFile, inToken, inKey} {
		needles := []string{secret, url.QueryEscape(secret)}
		for phase := range 3 {
			coded := base64.StdEncoding.EncodeToString(append(make([]byte, phase), secret...))
			needles = append(needles, strings.TrimRight(coded, "=")[4:len(coded)-4])
		}
		for _, needle := range needles {
			if at := bytes.Index(data, []byte(needle)); at >= 0 {
				h.t.Errorf("%s: %s is in …%s…", kind, secret, data[max(0, at-120):min(len(data), at+120)])
				break
			}
		}
	}
}

// processes looks at the arguments and the environment of all processes that descend from one, and returns how many there
// are. Its own environment is who started it's to know.
func (h *hunt) processes(pid int) (children int) {
	parents := map[int]int{}
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		_, rest, ok := strings.Cut(string(text), ") ")
		if err != nil || !ok { // it has ended
			continue
		}
		id, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parents[id], _ = strconv.Atoi(strings.Fields(rest)[1])
	}
	for id := range parents {
		own := id == pid
		for up := id; up > 1 && !own; up = parents[up] {
			own = parents[up] == pid
		}
		if !own {
			continue
		}
		name := fmt.Sprintf("/proc/%d/", id)
		arguments, _ := os.ReadFile(name + "cmdline") // it may have ended
		h.look("arguments", arguments)
		if id != pid {
			environment, _ := os.ReadFile(name + "environ")
			h.look("environment", environment)
			children++
		}
	}
	return children
}

// bundle looks into a support bundle.
func (h *hunt) bundle(path string) {
	f, err := os.Open(path)
	if err != nil {
		h.t.Error(err)
		return
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		h.t.Fatal(err)
	}
	for archive := tar.NewReader(unzipped); ; {
		_, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		text, failed := io.ReadAll(archive)
		if err := errors.Join(err, failed); err != nil {
			h.t.Fatal(err)
		}
		h.look("support bundle", text)
	}
}

// programs builds the agent and the programs that read cameras, and returns the agent's path.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir+"/", "./agent", "./agent/xbm-capture", "./agent/xbm-stream")
	build.Dir = testdata.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("go build: %v\n%s", err, out)
	}
	return filepath.Join(dir, "agent")
}

// deafCamera is a network camera that lets nobody in: it answers every request of RTSP with 401.
func deafCamera(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
				buf := make([]byte, 4096)
				for n := 1; ; n++ {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					fmt.Fprintf(conn, "RTSP/1.0 401 Unauthorized\r\nCSeq: %d\r\nWWW-Authenticate: Basic realm=\"cam\"\r\n\r\n", n)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		group.Wait()
	})
	return l.Addr().String()
}

// Passwords, tokens and keys are nowhere in what the agent says, whatever goes wrong: in its log at the level debug, in
// messages, metrics and pages, in a support bundle and what commands print, in arguments and environments of its
// processes, and in what it leaves behind when it crashes.
func TestSecretsStaySecret(t *testing.T) {
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
	if testing.Short() {
		t.Skip("builds programs; without -short")
	}
	program := programs(t)
	model := bundletest.Write(t, bundletest.Model(t, 1), nil, nil)
	things := newShelf(t, model).gallery
	locked := brokertest.Start(t, "127.0.0.1:0", brokertest.User{Name: "nobody", Password: "else"})
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="cam"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(page.Close)
	cameraAddr := deafCamera(t)
	for name, way := range map[string]struct{ mqtt, environment string }{
		"in URLs":            {"", ""},
		"in a file":          {"username: porch, password_file: DIR/mqtt, ", ""},
		"in the environment": {"username: porch, ", "XBM_MQTT_PASSWORD=" + inEnvironment},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &hunt{t: t, n: map[string]int{}}
			open := brokertest.Start(t, "127.0.0.1:0")
			dir := t.TempDir()
			for file, text := range map[string]string{
				"mqtt": inFile, "cam": inCameraFile, "token": inToken,
				"key.pem": "-----BEGIN PRIVATE KEY-----\n" + inKey + "\n-----END PRIVATE KEY-----\n", "cert.pem": "-----BEGIN CERTIFICATE-----\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			webPort := brokertest.FreePort(t)
			config := strings.NewReplacer("DIR", dir, "WAY", strings.ReplaceAll(way.mqtt, "DIR", dir), "LOCKED", locked.Addr, "OPEN", open.Addr, "RTSP", cameraAddr, "PAGE", page.URL,
				"MODEL", model, "THINGS", things, "PORT", strconv.Itoa(webPort),
				"USER", map[bool]string{true: "porch:" + inBrokerURL + "@", false: ""}[way.mqtt == ""],
				"SPARE", "porch:"+inFallbackURL+"@").Replace(`
node: porch
state_dir: DIR/state
log: {level: debug}
model: {path: MODEL}
gallery: {path: THINGS}
metrics: {listen: "unix:DIR/m.sock"}
web: {listen: "127.0.0.1:PORT", token_file: DIR/token}
mqtt: {WAYbroker: "tcp://USERLOCKED", fallbacks: ["ssl://SPARELOCKED", "tcp://SPAREOPEN"], publish_embeddings: true, publish_candidates: true}
cameras:
  shelf: {kind: test}
  rtsp: {kind: rtsp, address: "rtsp://admin:` + inCameraURL + `@RTSP/h264?token=` + inCameraQuery + `", timeout: 2s, stall: 2s}
  http: {kind: http, address: "PAGE/video", username: admin, password_file: DIR/cam, timeout: 2s, stall: 2s}
`)
			path := filepath.Join(dir, "agent.yaml")
			if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			environment := append(os.Environ(), "CREDENTIALS_DIRECTORY=")
			if way.environment != "" {
				environment = append(environment, way.environment)
			}
			run := func(kind string, args ...string) {
				cmd := exec.CommandContext(t.Context(), program, append(args, "--config", path)...)
				cmd.Env = environment
				out, _ := cmd.CombinedOutput() // many are to fail
				h.look(kind, out)
			}
			said := listenSecretly(t, h, open.URL())
			var log bytes.Buffer
			agent := exec.Command(program, "run", "--config", path)
			agent.Env, agent.Stdout, agent.Stderr = environment, &log, &log
			if err := agent.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- agent.Wait() }()
			defer func() { _ = agent.Process.Kill() }()
			children := 0
			for began, told := time.Now(), false; !told || time.Since(began) < 14*time.Second; {
				children = max(children, h.processes(agent.Process.Pid))
				select {
				case err := <-ended:
					t.Fatalf("the agent has ended: %v\n%s", err, log.String())
				case <-said: // a reading of the agent's: ten seconds have passed
					told = true
				case <-time.After(50 * time.Millisecond):
				}
				if time.Since(began) > time.Minute {
					t.Fatal("the agent says nothing")
				}
			}
			metrics, err := scrape(t.Context(), filepath.Join(dir, "m.sock"))
			if err != nil {
				t.Error(err)
			}
			h.look("metrics", []byte(metrics))
			h.pages(fmt.Sprintf("http://127.0.0.1:%d", webPort))
			run("mqtt test", "mqtt", "test", "--timeout", "2s")
			run("doctor", "doctor")
			run("ha", "ha", "send")
			run("ha", "ha", "print")
			run("check", "check")
			bundle := filepath.Join(dir, "report.tar.gz")
			run("support-bundle", "support-bundle", "--out", bundle)
			h.bundle(bundle)
			run("broken TLS files", "mqtt", "test", "--set", "mqtt.tls.cert="+dir+"/cert.pem", "--set", "mqtt.tls.key="+dir+"/key.pem")
			run("broken TLS files", "run", "--set", "mqtt.tls.cert="+dir+"/cert.pem", "--set", "mqtt.tls.key="+dir+"/key.pem", "--set", "state_dir="+dir+"/other")
			run("a broken configuration", "run", "--set", "mqtt.broker=tcp://porch:"+inBrokerURL+"@:x")
			run("a broken configuration", "run", "--set", "web.listen=:8090", "--set", "mqtt.fallbacks=tcp://porch:"+inFallbackURL+"@")
			if err := agent.Process.Signal(syscall.SIGQUIT); err != nil { // it crashes, and prints its stacks
				t.Fatal(err)
			}
			<-ended
			text := log.String()
			h.look("log and crash", []byte(text))
			for _, want := range []string{
				"refuses the user name or password", "ssl://", "level=DEBUG", "SIGQUIT", "goroutine ", "connected to the broker", "camera=rtsp", "camera=http",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("the log does not hold %q: that is not what was to be looked at\n%.3000s", want, text)
				}
			}
			if children < 1 {
				t.Error("no processes of the agent's were seen")
			}
			for _, kind := range []string{"arguments", "environment", "messages", "metrics", "pages", "mqtt test", "doctor", "support bundle", "broken TLS files", "log and crash"} {
				if h.n[kind] == 0 {
					t.Errorf("nothing to look at: %s", kind)
				}
			}
			t.Logf("no secret in %d processes and so many bytes: %v", children, h.n)
		})
	}
}

// pages looks at what the page for people answers to those without a token, with a wrong one and with the right one.
func (h *hunt) pages(base string) {
	for _, token := range []string{"", "wrong-token-0123456789", inToken} {
		for _, path := range []string{"/", "/login", "/api/state", "/nothing"} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				request, err := http.NewRequestWithContext(h.t.Context(), method, base+path, strings.NewReader("token="+token))
				if err != nil {
					h.t.Fatal(err)
				}
				request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				request.Header.Set("Authorization", "Bearer "+token)
				client := http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
				answer, err := client.Do(request)
				if err != nil {
					h.t.Error(err)
					continue
				}
				body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20)) // what there is; a stream has no end
				_ = answer.Body.Close()
				h.look("pages", slices.Concat(body, fmt.Append(nil, answer.Status, answer.Header)))
			}
		}
	}
}

// listenSecretly looks at all that is said at a broker. A reading of the agent's health is told of.
func listenSecretly(t *testing.T, h *hunt, broker string) (stats <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done, told := make(chan struct{}), make(chan error, 1), make(chan struct{}, 100)
	go func() {
		done <- mqtt.Listen(ctx, mqtt.Config{Broker: broker}, []string{"#"}, slog.New(slog.DiscardHandler), func() error {
			close(ready)
			return nil
		}, func(m mqtt.Message) bool {
			h.look("messages", slices.Concat([]byte(m.Topic), []byte{' '}, m.Payload))
			if strings.HasSuffix(m.Topic, "/stats") {
				select {
				case told <- struct{}{}:
				default: // enough is enough
				}
			}
			return true
		})
	}()
	<-ready
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return told
}
