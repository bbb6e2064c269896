package doctor_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/doctor"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/systemd"
	"xbmedge/camera"
	"xbmedge/internal/embed"
	"xbmedge/internal/gallery"
)

func TestAllIsWell(t *testing.T) {
	b := newBench(t)
	findings := b.run()
	for _, f := range findings {
		if f.Level != doctor.OK {
			t.Errorf("%+v", f)
		}
	}
	var out bytes.Buffer
	if err := doctor.WriteText(&out, findings); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"ok  configuration   ", "node porch, 5 cameras", "TensorFlow Lite 2.9.0", "Raspberry Pi 5 Model B Rev 1.0", "5120 MB are left",
		"51 °C", "things (int8, 2 values) embeds a picture in", "ok  gallery         1 identities, 1 embeddings",
		"/dev/video0 can be opened", "cam:554 answers", "/srv/pictures has 1 pictures", "tcp://me@broker lets the agent in", "4 of 4 cameras",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "video9") {
		t.Error("a camera that is off was looked at")
	}
}

// A fault each, with the one line that tells of it and what to do.
func TestFindings(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	unknown := &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "cam", IsNotFound: true}}
	noServer := &net.OpError{Op: "dial", Err: &net.DNSError{Err: "i/o timeout", Name: "cam", IsTimeout: true}}
	noRoute := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}
	silent := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	mute := &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
	denied := &fs.PathError{Op: "open", Path: "/dev/video0", Err: syscall.EACCES}
	dial := func(err error) func(*bench) {
		return func(b *bench) {
			b.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, err }
		}
	}
	broker := func(err error, set ...string) func(*bench) {
		return func(b *bench) {
			b.set = set
			b.Probe = func(context.Context, mqtt.Config) error { return fmt.Errorf("network Error : %w", err) }
		}
	}
	unit := func(text string) func(*bench) {
		return func(b *bench) { b.unit = text + "\nFragmentPath=/etc/systemd/system/xbm-agent.service" }
	}
	for _, tt := range []struct {
		name   string
		change func(*bench)
		want   doctor.Finding // Found and Remedy: parts of them
	}{
		{
			"a misspelt key", func(b *bench) { b.set = []string{"mqtt.brokr=x"} },
			doctor.Finding{Check: "configuration", Level: doctor.Fault, Found: "did you mean mqtt.broker?", Remedy: "correct it"},
		},
		{
			"no configuration file", func(b *bench) { b.remove(configured) },
			doctor.Finding{Check: "configuration", Level: doctor.Fault, Found: "there is no configuration", Remedy: "name another with --config"},
		},
		{
			"no TensorFlow Lite", func(b *bench) { b.TFLite.Err = errors.New("none") },
			doctor.Finding{Check: "program", Level: doctor.Fault, Found: "built without TensorFlow Lite", Remedy: "install the package"},
		},
		{
			"no OpenCV", func(b *bench) { b.OpenCV.Err = errors.New("none") },
			doctor.Finding{Check: "program", Level: doctor.Fault, Found: "does not run: no cameras of the kind", Remedy: "install the package"},
		},
		{
			"32 bits of 64", func(b *bench) { b.Arch = "arm" },
			doctor.Finding{Check: "platform", Level: doctor.Warning, Found: "has a 64-bit kernel (aarch64), but this program is a 32-bit one (arm)", Remedy: "install the 64-bit system"},
		},

		{
			"no model", func(b *bench) { b.remove("/etc/xbm-agent/m.tflite") },
			doctor.Finding{Check: "model", Level: doctor.Fault, Found: "/etc/xbm-agent/m.tflite is not there", Remedy: "correct model.path"},
		},
		{
			"a folder for a model", func(b *bench) { b.set = []string{"model.path=/etc/xbm-agent"} },
			doctor.Finding{Check: "model", Level: doctor.Fault, Found: "/etc/xbm-agent is no file", Remedy: "name the .tflite file"},
		},
		{
			"settings alone", func(b *bench) { b.set = []string{"track.window=1"} },
			doctor.Finding{Check: "configuration", Level: doctor.Fault, Found: "track: 3 agreeing frames in a window of 1", Remedy: "correct it"},
		},
		{"a model that is none", func(b *bench) {
			b.OpenModel = opens(nil, errors.New("no flatbuffer"))
		}, doctor.Finding{Check: "model", Level: doctor.Fault, Found: "m.tflite cannot be used: no flatbuffer", Remedy: "copy the model again"}},
		{"a model that fails", func(b *bench) {
			b.OpenModel = opens(model{errors.New("NaN")}, nil)
		}, doctor.Finding{Check: "model", Level: doctor.Fault, Found: "m.tflite does not work: NaN", Remedy: "make the model again"}},
		{
			"a model the service may not read", func(b *bench) { b.files["/etc/xbm-agent/m.tflite"] = doctor.File{Mode: 0o600} },
			doctor.Finding{Check: "model", Level: doctor.Fault, Found: "the service's user xbm-agent may not read /etc/xbm-agent/m.tflite (mode 0600, group root)", Remedy: "`sudo chgrp xbm-agent /etc/xbm-agent/m.tflite && sudo chmod g+rX /etc/xbm-agent/m.tflite`"},
		},
		{
			"a folder the service may not enter", func(b *bench) { b.files["/etc/xbm-agent"] = doctor.File{Mode: fs.ModeDir | 0o700} },
			doctor.Finding{Check: "model", Level: doctor.Fault, Found: "may not enter /etc/xbm-agent (mode 0700", Remedy: "`sudo chmod o+x /etc/xbm-agent`"},
		},
		{"a model in a home", func(b *bench) {
			b.write("/home/pi/m.tflite", "a model")
			b.set = []string{"model.path=/home/pi/m.tflite"}
		}, doctor.Finding{Check: "model", Level: doctor.Fault, Found: "the service does not see /home/pi/m.tflite", Remedy: "move it to"}},
		{
			"no gallery", func(b *bench) { b.remove("/var/lib/xbm-agent/g.gallery") },
			doctor.Finding{Check: "gallery", Level: doctor.Fault, Found: "there is no gallery /var/lib/xbm-agent/g.gallery", Remedy: "`xbm-agent enroll --model /etc/xbm-agent/m.tflite --gallery /var/lib/xbm-agent/g.gallery NAME"},
		},
		{
			"an empty gallery", func(b *bench) { b.enroll(model{}.Model()) },
			doctor.Finding{Check: "gallery", Level: doctor.Warning, Found: "nothing is enrolled", Remedy: "`xbm-agent enroll"},
		},
		{
			"a gallery of another model", func(b *bench) { b.enroll(embed.ModelRef{Name: "old", SHA256: "0", Dim: 2}, "a") },
			doctor.Finding{Check: "gallery", Level: doctor.Fault, Found: "belongs to another model", Remedy: "enroll into a new file"},
		},
		{
			"a gallery of another model that has pictures", func(b *bench) {
				b.enroll(embed.ModelRef{Name: "old", SHA256: "0", Dim: 2})
				path := filepath.Join(b.Root, "/var/lib/xbm-agent/g.gallery")
				g, err := gallery.Read(path)
				if err == nil {
					_, err = g.Add("cup", "Cup", []gallery.Sample{{Vector: []float32{1, 0}, Crop: []byte("a picture")}})
				}
				if err := errors.Join(err, g.Save(path)); err != nil {
					b.t.Fatal(err)
				}
			},
			doctor.Finding{Check: "gallery", Level: doctor.Warning, Found: "makes it anew from its pictures", Remedy: "to go back"},
		},
		{
			"a torn gallery", func(b *bench) { b.write("/var/lib/xbm-agent/g.gallery", "XBMGAL") },
			doctor.Finding{Check: "gallery", Level: doctor.Fault, Found: "damaged or not a gallery", Remedy: "copy it again"},
		},

		{
			"no camera", func(b *bench) { b.remove("/dev/video0") },
			doctor.Finding{Check: "camera front", Level: doctor.Fault, Found: "/dev/video0 is not there; there are /dev/video2", Remedy: "take another one in cameras.front.address"},
		},
		{
			"no camera at all", func(b *bench) { b.remove("/dev/video0"); b.remove("/dev/video2") },
			doctor.Finding{Check: "camera front", Level: doctor.Fault, Found: "/dev/video0 is not there, and no other camera", Remedy: "plug it in"},
		},
		{
			"no device", func(b *bench) { b.files["/dev/video0"] = doctor.File{Mode: 0o644} },
			doctor.Finding{Check: "camera front", Level: doctor.Fault, Found: "/dev/video0 is no device", Remedy: "kind: file"},
		},
		{"no camera group, as root", func(b *bench) {
			b.files["/dev/video0"] = doctor.File{Mode: fs.ModeDevice | fs.ModeCharDevice | 0o660, GID: 1000}
		}, doctor.Finding{Check: "camera front", Level: doctor.Fault, Found: "no camera group: the service's user xbm-agent may not open /dev/video0 (mode 0660, group pi)", Remedy: "`sudo usermod -aG pi xbm-agent`, then `sudo systemctl restart xbm-agent`"}},
		{
			"no camera group", func(b *bench) { b.asUser(); b.broken["/dev/video0"] = denied },
			doctor.Finding{Check: "camera front", Level: doctor.Fault, Found: "no camera group: pi may not open /dev/video0 (mode 0660, group video)", Remedy: "`sudo usermod -aG video pi`, then log in again"},
		},
		{"a camera of root's alone", func(b *bench) {
			b.files["/dev/video0"] = doctor.File{Mode: fs.ModeDevice | fs.ModeCharDevice | 0o600}
		}, doctor.Finding{Check: "camera front", Level: doctor.Fault, Found: "no camera group", Remedy: "give cameras to the group video"}},
		{
			"a camera in a container", func(b *bench) { b.broken["/dev/video0"] = denied },
			doctor.Finding{Check: "camera front", Level: doctor.Fault, Found: "even root may not open /dev/video0: permission denied", Remedy: "give it the device"},
		},
		{
			"a camera in use", func(b *bench) { b.broken["/dev/video0"] = syscall.EBUSY },
			doctor.Finding{Check: "camera front", Level: doctor.Warning, Found: "another program uses /dev/video0", Remedy: "`sudo fuser -v /dev/video0`"},
		},
		{
			"a camera that is gone", func(b *bench) { b.broken["/dev/video0"] = syscall.ENODEV },
			doctor.Finding{Check: "camera front", Level: doctor.Fault, Found: "/dev/video0 cannot be opened: no such device", Remedy: "plug it in again"},
		},
		{"a ribbon camera without its program", func(b *bench) {
			b.set = ribbon
			b.Libcamera = func(camera.Config) error { return errors.New("rpicam-vid is not installed") }
		}, doctor.Finding{Check: "camera front", Level: doctor.Fault, Found: "rpicam-vid is not installed", Remedy: "install it"}},
		{
			"no ribbon camera", func(b *bench) { b.set = ribbon },
			doctor.Finding{Check: "camera front", Level: doctor.Fault, Found: "no camera on a ribbon cable", Remedy: "push the cable home"},
		},
		{"a ribbon camera of others", func(b *bench) {
			b.set = ribbon
			b.write("/dev/media0", "")
			b.files["/dev/media0"] = doctor.File{Mode: fs.ModeDevice | fs.ModeCharDevice | 0o660, GID: 1000}
		}, doctor.Finding{Check: "camera front", Level: doctor.Fault, Found: "may not open /dev/media0 (mode 0660, group pi)", Remedy: "`sudo usermod -aG pi xbm-agent`"}},
		{"a ribbon camera", func(b *bench) {
			b.set = ribbon
			b.write("/dev/media0", "")
			b.files["/dev/media0"] = doctor.File{Mode: fs.ModeDevice | fs.ModeCharDevice | 0o660, GID: video}
		}, doctor.Finding{Check: "camera front", Level: doctor.OK, Found: "camera 0: its program is installed"}},
		{
			"a network camera without a host", func(b *bench) {
				b.set = []string{"cameras.back.username=", "cameras.back.password_file=", "cameras.back.address=rtsp:///x"}
			},
			doctor.Finding{Check: "camera back", Level: doctor.Fault, Found: "rtsp:///x is no URL with a host", Remedy: "rtsp://host:554/path"},
		},
		{
			"a network camera's name", dial(unknown),
			doctor.Finding{Check: "camera back", Level: doctor.Fault, Found: "the name cam is not known", Remedy: "correct it in cameras.back.address"},
		},
		{
			"no name server", dial(noServer),
			doctor.Finding{Check: "camera back", Level: doctor.Fault, Found: "no name server tells the address of cam", Remedy: "`resolvectl status`"},
		},
		{
			"a network camera that refuses", dial(refused),
			doctor.Finding{Check: "camera back", Level: doctor.Fault, Found: "cam refuses connections at this port (cam:554)", Remedy: "switch on RTSP"},
		},
		{
			"a network camera without a way", dial(noRoute),
			doctor.Finding{Check: "camera back", Level: doctor.Fault, Found: "there is no way to cam:554", Remedy: "`ip route`"},
		},
		{
			"a network camera that is silent", dial(silent),
			doctor.Finding{Check: "camera back", Level: doctor.Fault, Found: "cam:554 does not answer within 5s", Remedy: "`ping cam`"},
		},
		{
			"no folder", func(b *bench) { b.remove("/srv/pictures") },
			doctor.Finding{Check: "camera side", Level: doctor.Fault, Found: "/srv/pictures is not there", Remedy: "correct cameras.side.address"},
		},
		{
			"an empty folder", func(b *bench) { b.remove("/srv/pictures/a.jpg") },
			doctor.Finding{Check: "camera side", Level: doctor.Fault, Found: "/srv/pictures has no pictures", Remedy: "put some there"},
		},
		{
			"a file as folder", func(b *bench) { b.set = []string{"cameras.side.kind=file"} },
			doctor.Finding{Check: "camera side", Level: doctor.Fault, Found: "/srv/pictures is a folder", Remedy: "kind: dir"},
		},
		{
			"a folder as file", func(b *bench) { b.set = []string{"cameras.clip.kind=dir"} },
			doctor.Finding{Check: "camera clip", Level: doctor.Fault, Found: "/srv/pictures/a.jpg is no folder", Remedy: "kind: file"},
		},
		{
			"a clip the service may not read", func(b *bench) { b.files["/srv/pictures/a.jpg"] = doctor.File{Mode: 0o600} },
			doctor.Finding{Check: "camera clip", Level: doctor.Fault, Found: "may not read /srv/pictures/a.jpg", Remedy: "`sudo chgrp xbm-agent"},
		},

		{
			"a broker's name", broker(unknown),
			doctor.Finding{Check: "broker", Level: doctor.Fault, Found: "the name broker is not known", Remedy: "correct it in mqtt.broker"},
		},
		{
			"a broker that refuses", broker(refused),
			doctor.Finding{Check: "broker", Level: doctor.Fault, Found: "broker refuses connections at this port", Remedy: "`sudo systemctl start mosquitto`"},
		},
		{
			"a fallback that refuses", func(b *bench) {
				b.set = []string{"mqtt.fallbacks=tcp://spare"}
				b.Probe = func(_ context.Context, cfg mqtt.Config) error {
					if cfg.Broker == "tcp://spare" {
						return refused
					}
					return nil
				}
			},
			doctor.Finding{Check: "broker", Level: doctor.Warning, Found: "spare refuses connections at this port", Remedy: "correct the port in mqtt.fallbacks"},
		},
		{
			"a broker that is silent", broker(silent),
			doctor.Finding{Check: "broker", Level: doctor.Fault, Found: "does not answer within 5s", Remedy: "`ping broker`"},
		},
		{
			"a broker that is mute", broker(mute),
			doctor.Finding{Check: "broker", Level: doctor.Fault, Found: "takes the connection, but says nothing", Remedy: "correct the port in mqtt.broker"},
		},
		{
			"a wrong password", broker(mqtt.ErrLogin),
			doctor.Finding{Check: "broker", Level: doctor.Fault, Found: "the broker refuses the user name or password", Remedy: "mqtt.password_file"},
		},
		{
			"no password", broker(mqtt.ErrLogin, "mqtt.username=", "mqtt.password_file="),
			doctor.Finding{Check: "broker", Level: doctor.Fault, Found: "wants a user name and password", Remedy: "set mqtt.username"},
		},
		{
			"no broker", broker(mqtt.ErrNoBroker),
			doctor.Finding{Check: "broker", Level: doctor.Fault, Found: "no MQTT broker, or one of the two wants TLS", Remedy: "ssl:// for a TLS port"},
		},
		{
			"an unknown CA", broker(x509.UnknownAuthorityError{}),
			doctor.Finding{Check: "broker", Level: doctor.Fault, Found: "nobody trusted has signed", Remedy: "mqtt.tls.ca"},
		},
		{
			"another name", broker(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "broker"}),
			doctor.Finding{Check: "broker", Level: doctor.Fault, Found: "certificate is for another name", Remedy: "write in mqtt.broker the name"},
		},
		{
			"an old certificate", broker(x509.CertificateInvalidError{Reason: x509.Expired}),
			doctor.Finding{Check: "broker", Level: doctor.Fault, Found: "expired, or the board's clock is wrong", Remedy: "timedatectl set-ntp true"},
		},
		{
			"no TLS there", broker(tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}),
			doctor.Finding{Check: "broker", Level: doctor.Fault, Found: "answers without TLS", Remedy: "tcp://"},
		},
		{
			"a client's certificate", broker(tls.AlertError(116)),
			doctor.Finding{Check: "broker", Level: doctor.Fault, Found: "the broker asks for a client's certificate", Remedy: "mqtt.tls.cert"},
		},
		{
			"no CA file", func(b *bench) { b.set = []string{"mqtt.tls.ca=/nonexistent.pem"} },
			doctor.Finding{Check: "broker", Level: doctor.Fault, Found: "open /nonexistent.pem", Remedy: "correct mqtt.tls"},
		},

		{
			"no state folder", func(b *bench) { b.set = []string{"state_dir=/var/lib/none"} },
			doctor.Finding{Check: "permissions", Level: doctor.Fault, Found: "there is no state folder /var/lib/none", Remedy: "`sudo install -d -o xbm-agent -m 0750 /var/lib/none`"},
		},
		{
			"a state folder of root's", func(b *bench) { b.files["/var/lib/xbm-agent"] = doctor.File{Mode: fs.ModeDir | 0o755} },
			doctor.Finding{Check: "permissions", Level: doctor.Fault, Found: "xbm-agent may not write /var/lib/xbm-agent", Remedy: "`sudo chown -R xbm-agent: /var/lib/xbm-agent`"},
		},
		{"a state folder of the service's", func(b *bench) {
			b.asUser()
			b.Access = func(_ string, want uint32) error {
				if want&2 != 0 {
					return syscall.EACCES
				}
				return nil
			}
		}, doctor.Finding{Check: "permissions", Level: doctor.Warning, Found: "pi may not write /var/lib/xbm-agent", Remedy: "`sudo xbm-agent doctor`"}},
		{
			"no secret", func(b *bench) { b.remove("/etc/xbm-agent/secrets/broker") },
			doctor.Finding{Check: "permissions", Level: doctor.Fault, Found: "mqtt.password_file: there is no secret broker", Remedy: "`sudo install -m 0600 /dev/stdin FILE`"},
		},
		{"a secret for all", func(b *bench) {
			b.files["/etc/xbm-agent/secrets/broker"] = doctor.File{Mode: 0o644}
		}, doctor.Finding{Check: "permissions", Level: doctor.Warning, Found: "everybody on this board may read the password in", Remedy: "`sudo chmod 600 "}},
		{"a password for all", func(b *bench) {
			b.set = []string{"mqtt.password_file=", "mqtt.password=hunter2-inline"}
			b.files[configured] = doctor.File{Mode: 0o644}
		}, doctor.Finding{Check: "permissions", Level: doctor.Warning, Found: "everybody on this board may read the password in", Remedy: "`sudo chmod o-r "}},
		{
			"a configuration the service may not read", func(b *bench) { b.files[configured] = doctor.File{Mode: 0o600} },
			doctor.Finding{Check: "permissions", Level: doctor.Fault, Found: "may not read", Remedy: "`sudo chgrp xbm-agent "},
		},

		{"a disk nearly full", func(b *bench) {
			b.Space = func(string) (doctor.Space, error) { return doctor.Space{Bytes: 50 << 20}, nil }
		}, doctor.Finding{Check: "disk", Level: doctor.Warning, Found: "nearly full: 50 MB are left", Remedy: "make room"}},
		{"a full disk", func(b *bench) {
			b.Space = func(string) (doctor.Space, error) { return doctor.Space{Bytes: 9 << 20}, nil }
		}, doctor.Finding{Check: "disk", Level: doctor.Fault, Found: "is full: 9 MB are left", Remedy: "journalctl --vacuum-size"}},
		{"no inodes", func(b *bench) {
			b.Space = func(string) (doctor.Space, error) { return doctor.Space{Bytes: 5 << 30, CountsNodes: true}, nil }
		}, doctor.Finding{Check: "disk", Level: doctor.Fault, Found: "no inodes", Remedy: "du --inodes"}},
		{"a read-only disk", func(b *bench) {
			b.Space = func(string) (doctor.Space, error) { return doctor.Space{Bytes: 5 << 30, ReadOnly: true}, nil }
		}, doctor.Finding{Check: "disk", Level: doctor.Fault, Found: "is read-only", Remedy: "mount -o remount,rw"}},
		{
			"no clock", func(b *bench) { b.Now = func() time.Time { return time.Unix(100, 0) } },
			doctor.Finding{Check: "clock", Level: doctor.Warning, Found: "the clock says 1970-01-01 00:01 UTC: recognition works, but events carry wrong times", Remedy: "`sudo timedatectl set-ntp true`"},
		},
		{"a free clock and TLS", func(b *bench) {
			b.Synchronised = func() (bool, bool) { return false, true }
			b.set = []string{"mqtt.broker=ssl://broker"}
		}, doctor.Finding{Check: "clock", Level: doctor.Warning, Found: "follows no time server: once it is far off, TLS", Remedy: "`sudo timedatectl set-ntp true`"}},
		{
			"a free clock", func(b *bench) { b.Synchronised = func() (bool, bool) { return false, true } },
			doctor.Finding{Check: "clock", Level: doctor.OK, Found: "follows no time server: events carry the time it has"},
		},
		{
			"heat", func(b *bench) { b.write("/sys/class/thermal/thermal_zone0/temp", "83000") },
			doctor.Finding{Check: "heat and power", Level: doctor.Warning, Found: "83 °C, and the limit is 75 °C", Remedy: "cool the board"},
		},
		{
			"a weak supply", func(b *bench) { b.write("/sys/devices/platform/soc/soc:firmware/get_throttled", "50005") },
			doctor.Finding{Check: "heat and power", Level: doctor.Warning, Found: "the supply voltage is too low", Remedy: "power supply"},
		},
		{
			"a slow processor", func(b *bench) { b.write("/sys/devices/platform/soc/soc:firmware/get_throttled", "4") },
			doctor.Finding{Check: "heat and power", Level: doctor.Warning, Found: "the firmware slows the processor down", Remedy: "cool the board"},
		},

		{
			"a service that failed", unit("ActiveState=failed\nSubState=failed\nResult=exit-code\nExecMainStatus=1"),
			doctor.Finding{Check: "service", Level: doctor.Fault, Found: "the service has failed (exit-code, exit code 1)", Remedy: "`journalctl -u xbm-agent -n 50"},
		},
		{
			"a service that fails over and over", unit("ActiveState=activating\nSubState=auto-restart\nResult=watchdog\nNRestarts=7"),
			doctor.Finding{Check: "service", Level: doctor.Fault, Found: "restarted, 7 times until now (watchdog", Remedy: "`journalctl -u xbm-agent -n 50"},
		},
		{
			"a service that failed before", unit("ActiveState=active\nSubState=running\nNRestarts=2"),
			doctor.Finding{Check: "service", Level: doctor.Warning, Found: "had to be restarted 2 times", Remedy: "`journalctl -u xbm-agent -n 50"},
		},
		{
			"a service for today", unit("ActiveState=active\nSubState=running\nUnitFileState=disabled"),
			doctor.Finding{Check: "service", Level: doctor.Warning, Found: "will not be started with the board", Remedy: "`sudo systemctl enable xbm-agent`"},
		},
		{
			"a service that is off", unit("ActiveState=inactive\nSubState=dead"),
			doctor.Finding{Check: "service", Level: doctor.Warning, Found: "does not run (inactive)", Remedy: "`sudo systemctl enable --now xbm-agent`"},
		},
		{
			"no service", func(b *bench) { b.unit = "ActiveState=inactive" },
			doctor.Finding{Check: "service", Level: doctor.OK, Found: "not installed"},
		},
		{"no systemd", func(b *bench) {
			b.Systemd = func() (*systemd.Service, error) { return nil, errors.New("this system is not run by systemd") }
		}, doctor.Finding{Check: "service", Level: doctor.OK, Found: "not run by systemd"}},
		{
			"a check that panics", func(b *bench) { b.Now = func() time.Time { panic("no clock") } },
			doctor.Finding{Check: "clock", Level: doctor.Fault, Found: "the check itself failed: no clock", Remedy: "support-bundle"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			tt.change(b)
			findings := b.run()
			found := 0
			for _, f := range findings {
				if f.Check == tt.want.Check && f.Level == tt.want.Level && strings.Contains(f.Found, tt.want.Found) && strings.Contains(f.Remedy, tt.want.Remedy) {
					found++
				}
				if (f.Level == doctor.OK) != (f.Remedy == "") {
					t.Errorf("a remedy is for what is not ok, and only for that: %+v", f)
				}
			}
			var out bytes.Buffer
			if err := doctor.WriteText(&out, findings); err != nil {
				t.Fatal(err)
			}
			if found != 1 {
				t.Errorf("%d findings like %+v in\n%s", found, tt.want, out.String())
			}
			if lines := strings.Count(out.String(), "\n"); lines != len(findings) {
				t.Errorf("%d findings in %d lines", len(findings), lines)
			}
			if strings.Contains(out.String(), "hunter2") {
				t.Errorf("a password in\n%s", out.String())
			}
		})
	}
}

// Without a configuration the machine is looked at all the same.
func TestBrokenConfiguration(t *testing.T) {
	b := newBench(t)
	b.write(configured, "modl: {path: x}\nmodel: {threads: many}\n")
	b.write("/sys/class/thermal/thermal_zone0/temp", "83000")
	faults := 0
	seen := map[string]bool{}
	for _, f := range b.run() {
		seen[f.Check] = true
		if f.Check == "configuration" && f.Level == doctor.Fault {
			faults++
		}
	}
	if faults != 2 {
		t.Errorf("%d lines of faults, want one for each", faults)
	}
	for _, name := range []string{"program", "platform", "disk", "clock", "heat and power", "permissions", "service"} {
		if !seen[name] {
			t.Errorf("no look at %s", name)
		}
	}
	if seen["broker"] || seen["model"] {
		t.Error("the defaults were taken for the user's")
	}
}

// A check that hangs is a finding, and all others are there.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		release := make(chan struct{})
		b.OpenModel = func(context.Context, string, config.Model) (doctor.Opened, error) {
			<-release
			return doctor.Opened{}, errors.New("late")
		}
		b.Probe = func(ctx context.Context, _ mqtt.Config) error {
			<-ctx.Done()
			return ctx.Err()
		}
		want := map[string]string{"model": "no answer within 5s", "broker": "does not answer"}
		for _, f := range b.run() {
			if text, ok := want[f.Check]; ok && f.Level == doctor.Fault && strings.Contains(f.Found, text) {
				delete(want, f.Check)
			}
		}
		if len(want) > 0 {
			t.Errorf("not found: %v", want)
		}
		close(release)
	})
}

// This machine, whatever it is: no panic, no end without a line for each check.
func TestThisMachine(t *testing.T) {
	findings := doctor.Run(t.Context(), doctor.This(t.Context()), "")
	if len(findings) < 8 {
		t.Errorf("only %+v", findings)
	}
}
