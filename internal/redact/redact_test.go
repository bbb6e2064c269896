package redact_test

import (
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
