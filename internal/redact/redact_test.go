package redact_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"xbmedge/internal/redact"
)

func TestURL(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"rtsp://admin:s3cret@10.0.0.2:554/h264", "rtsp://admin:xxxxx@10.0.0.2:554/h264"},
		{"rtsp://10.0.0.2/?user=admin&password=s3cret&ch=1", "rtsp://10.0.0.2/?user=admin&password=xxxxx&ch=1"},
		{"rtsp://10.0.0.2/?PWD=s3cret", "rtsp://10.0.0.2/?PWD=xxxxx"},
		{"rtsp://admin:s3%zzcret@10.0.0.2/x", "rtsp://xxxxx@10.0.0.2/x"},
		{"rtsp://admin:s3@cret@10.0.0.2/x", "rtsp://admin:xxxxx@10.0.0.2/x"},
		{"rtsp://admin:s3/cret@10.0.0.2/x", "rtsp://xxxxx@10.0.0.2/x"},
		{"rtsp://admin:s3#cret@10.0.0.2/x", "rtsp://xxxxx@10.0.0.2/x"},
		{"rtsp://admin:12/cret@10.0.0.2/x", "rtsp://xxxxx@10.0.0.2/x"},
		{"rtsp://admin:12?cret@10.0.0.2/x", "rtsp://xxxxx@10.0.0.2/x"},
		{"rtsp://admin:s3@cr/cret@10.0.0.2/x", "rtsp://xxxxx@10.0.0.2/x"},
		{"rtsp://10.0.0.2/a@b", "rtsp://10.0.0.2/a@b"},
		{"tcp://localhost:1883", "tcp://localhost:1883"},
		{"localhost:1883", "localhost:1883"},
		{"admin:s3cret@10.0.0.2:1883", "xxxxx@10.0.0.2:1883"},
		{"admin:s3@cret@10.0.0.2", "xxxxx@10.0.0.2"},
		{"clips/a@b.mp4", "clips/a@b.mp4"},
		{"/dev/video0", "/dev/video0"},
		{"", ""},
	} {
		got := redact.URL(tt.in)
		if got != tt.want {
			t.Errorf("URL(%q) = %q, want %q", tt.in, got, tt.want)
		}
		if strings.Contains(got, "cret") {
			t.Errorf("URL(%q) = %q shows the password", tt.in, got)
		}
	}
}

// Every way in which a password gets into a text that a program prints.
func TestText(t *testing.T) {
	const secret = `p@ss "w/ö?d`
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, in, want string }{
		{"as it is", "login with " + secret + " failed", "login with xxxxx failed"},
		{"JSON", `{"password":` + string(quoted) + `,"port":1}`, `{"password":"xxxxx","port":1}`},
		{"in a path", "GET /" + url.PathEscape(secret) + " HTTP/1.1", "GET /xxxxx HTTP/1.1"},
		{"in a query", "?x=" + url.QueryEscape(secret) + "&y=1", "?x=xxxxx&y=1"},
		{"in a URL", "open " + (&url.URL{Scheme: "rtsp", User: url.UserPassword("me", secret), Host: "h"}).String() + ".", "open rtsp://me:xxxxx@h."},
		{"in Base64", "Authorization: Basic bWU6cEBzcyAid8O2", "Authorization: Basic xxxxx"},
	} {
		if got := redact.Text(tt.in, "", secret, "other"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Without knowing the passwords.
func TestTextByItsShape(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"a URL", "a rtsp://me:s3cret@h/x, and tcp://u:s3cret@b", "a rtsp://me:xxxxx@h/x, and tcp://u:xxxxx@b"},
		{"a URL in quotes", `url="rtsp://me:s3cret@h/x" and 'tcp://u:s3cret@b'`, `url="rtsp://me:xxxxx@h/x" and 'tcp://u:xxxxx@b'`},
		{"a query", "GET rtsp://h/?user=u&password=s3cret&x=1 now", "GET rtsp://h/?user=u&password=xxxxx&x=1 now"},
		{"the environment", "XBM_MQTT_PASSWORD=s3cret XBM_NODE=a", "XBM_MQTT_PASSWORD=xxxxx XBM_NODE=a"},
		{"a unit's environment", `Environment="XBM_MQTT_PASSWORD=my s3cret" XBM_NODE=a`, `Environment="XBM_MQTT_PASSWORD=xxxxx" XBM_NODE=a`},
		{"a log", `level=INFO password="my s3cret" user=me`, `level=INFO password=xxxxx user=me`},
		{"JSON", `{"api_token":"s3\"cret","n":1}`, `{"api_token":"xxxxx","n":1}`},
		{"a unit's credential", "SetCredential=secret_broker:my s3cret\nUser=x", "SetCredential=secret_broker:xxxxx\nUser=x"},
		{"names of files", "LoadCredential=secret:/etc/secrets mqtt.password_file=/etc/p XBM_MQTT_PASSWORD_FILE=/etc/q", "LoadCredential=secret:/etc/secrets mqtt.password_file=/etc/p XBM_MQTT_PASSWORD_FILE=/etc/q"},
		{"prose", "the broker refuses the user name or password: not authorised", "the broker refuses the user name or password: not authorised"},
	} {
		got := redact.Text(tt.in)
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if strings.Contains(got, "cret\"") || strings.Contains(got, "s3") {
			t.Errorf("%s: %q shows the password", tt.name, got)
		}
	}
}

// A password of one letter must not make a text unreadable.
func TestTextWithAShortPassword(t *testing.T) {
	if got := redact.Text("a cat: a", "a"); got != "xxxxx cat: xxxxx" {
		t.Errorf("got %q", got)
	}
}

func TestSecrets(t *testing.T) {
	for in, want := range map[string]string{
		"rtsp://me:p%40ss@h/x":                "p@ss",
		"rtsp://h/?user=u&password=p%40ss&x=": "p@ss",
		"rtsp://me@h":                         "",
		"rtsp://me:pa/ss@h:554/x":             "pa/ss",
		"me:pass@h:1883":                      "pass",
		"localhost:1883":                      "",
	} {
		if got := strings.Join(redact.Secrets(in), "|"); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
