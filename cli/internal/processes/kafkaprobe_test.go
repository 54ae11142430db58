package processes

import (
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
)

// A broker serves when it says that somebody does, not when it answers.
func TestAskKafka(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	mustDo(t, "listen", err)
	defer l.Close()
	for _, c := range []struct {
		name, answer string
		serves       bool
	}{
		{"one broker", "0000000c 00005a4b 00000001", true},
		{"no broker", "0000000c 00005a4b 00000000", false},
		{"another question's", "0000000c 00005a4c 00000001", false},
		{"cut off", "0000000c 00005a4b", false},
	} {
		ended := make(chan error)
		go func() { ended <- answerOnce(l, c.answer) }()
		err := askKafka(t.Context(), l.Addr().String())
		if (err == nil) != c.serves {
			t.Errorf("%s: %v, want that it serves: %v", c.name, err, c.serves)
		}
		mustDo(t, c.name, <-ended)
	}
}

// answerOnce reads a question and writes bytes.
func answerOnce(l net.Listener, answer string) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(metadataQuestion()))); err != nil {
		return err
	}
	b, err := hex.DecodeString(strings.ReplaceAll(answer, " ", ""))
	if err != nil {
		return err
	}
	_, err = conn.Write(b)
	return err
}
