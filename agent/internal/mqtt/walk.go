package mqtt

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// The steps to a broker, in their order. TLS is left out where the broker's URL has none.
const (
	StepDNS       = "dns"
	StepTCP       = "tcp"
	StepTLS       = "tls"
	StepLogin     = "login"
	StepSubscribe = "subscribe"
	StepPublish   = "publish"
	StepReceive   = "receive"
)

// Step is one that was taken. Found says what was seen there, where Err is nil.
type Step struct {
	Name  string
	Found string
	Err   error
}

// ErrNotBack says that a message that the broker had confirmed did not come back. It confirms also what it throws away.
var ErrNotBack = errors.New("the broker took the message and did not send it back: its access rules let this user not write, or not read, that topic")

// walker takes the steps one after another.
type walker struct {
	cfg     Config
	url     *url.URL
	secure  bool
	hosts   []string
	address string // that answered
	client  paho.Client
	topic   string
	token   string
	back    chan string
}

// Walk goes to a broker and back in single steps, with a client id of its own: it looks up the name, connects, shakes
// hands, logs in, subscribes to a topic, publishes there without retain, and receives that. It tells of each step and
// stops at the first that fails, whose error it returns. Each takes ConnectTimeout at most.
func Walk(ctx context.Context, cfg Config, topic string, tell func(Step)) error {
	cfg.ClientID = ""
	cfg = cfg.withDefaults()
	u, err := parseBroker(cfg.Broker)
	if err != nil {
		return err
	}
	w := &walker{cfg: cfg, url: u, secure: u.Scheme == "ssl" || u.Scheme == "wss", topic: topic, token: rand.Text(), back: make(chan string, 8)}
	defer w.close()
	for _, step := range []struct {
		name string
		take func(context.Context) (string, error)
	}{
		{StepDNS, w.lookUp},
		{StepTCP, w.connect},
		{StepTLS, w.shakeHands},
		{StepLogin, w.logIn},
		{StepSubscribe, w.subscribe},
		{StepPublish, w.publish},
		{StepReceive, w.receive},
	} {
		if step.name == StepTLS && !w.secure {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
		found, err := step.take(limited)
		cancel()
		tell(Step{step.name, found, err})
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func (w *walker) close() {
	if w.client != nil {
		w.client.Disconnect(quiesce)
	}
}

func (w *walker) lookUp(ctx context.Context) (string, error) {
	var err error
	if w.hosts, err = net.DefaultResolver.LookupHost(ctx, w.url.Hostname()); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is %s", w.url.Hostname(), strings.Join(w.hosts, ", ")), nil
}

func (w *walker) connect(ctx context.Context) (string, error) {
	var faults []error
	for _, host := range w.hosts {
		address := net.JoinHostPort(host, w.url.Port())
		started := time.Now()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		w.address = address
		return fmt.Sprintf("%s answers after %v", address, time.Since(started).Round(100*time.Microsecond)), conn.Close()
	}
	return "", errors.Join(faults...)
}

func (w *walker) shakeHands(ctx context.Context) (string, error) {
	cfg, err := w.cfg.TLS.Config()
	if err != nil {
		return "", err
	}
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	cfg.ServerName = w.url.Hostname()
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", w.address)
	if err != nil {
		return "", err
	}
	state := conn.(*tls.Conn).ConnectionState() // a tls.Dialer makes no others
	leaf := state.PeerCertificates[0]
	found := fmt.Sprintf("%s, certificate of %q until %s", tls.VersionName(state.Version), leaf.Subject.CommonName, leaf.NotAfter.Format(time.DateOnly))
	return found, conn.Close()
}

func (w *walker) logIn(ctx context.Context) (string, error) {
	options, err := w.cfg.options()
	if err != nil {
		return "", err
	}
	client := paho.NewClient(options)
	if err := wait(ctx, client.Connect()); err != nil {
		client.Disconnect(0)
		var network net.Error
		if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout() {
			return "", fmt.Errorf("no answer to the login for %v: %w", w.cfg.ConnectTimeout, err)
		}
		return "", refusal(err)
	}
	w.client = client
	if options.Username == "" {
		return "the broker lets in whoever comes", nil
	}
	return "as " + options.Username, nil
}

func (w *walker) subscribe(context.Context) (string, error) {
	return w.topic, subscribe(w.client, w.cfg, func(_ paho.Client, m paho.Message) {
		select {
		case w.back <- string(m.Payload()):
		default: // somebody else's; ours has been seen, or is lost among many
		}
	}, []string{w.topic})
}

func (w *walker) publish(ctx context.Context) (string, error) {
	err := wait(ctx, w.client.Publish(w.topic, 1, false, w.token))
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the broker has not confirmed a message for %v", w.cfg.ConnectTimeout)
	}
	return "confirmed", err
}

func (w *walker) receive(ctx context.Context) (string, error) {
	started := time.Now()
	for {
		select {
		case text := <-w.back:
			if text == w.token {
				return fmt.Sprintf("the message came back %v after it was confirmed", time.Since(started).Round(100*time.Microsecond)), nil
			}
		case <-ctx.Done():
			return "", ErrNotBack
		}
	}
}

// wait waits for a token of paho's until ctx ends.
func wait(ctx context.Context, token paho.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return ctx.Err()
	}
}
