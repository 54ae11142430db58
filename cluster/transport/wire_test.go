package transport

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// The formats, byte by byte. A change here breaks clusters that are being upgraded: it needs another format version.
func TestWireFormat(t *testing.T) {
	h := hello{kind: kindSnapshot, from: 1, to: 2, process: 0x0102030405060708, connection: 9, cluster: "east"}
	w := welcome{status: StatusCluster, node: 2, reason: "no"}
	manifest := manifestOf(t, file{name: "a", size: 258, mode: 0o644})
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"hello", appendHello(nil, h), "5a4b5448 0100 02 00 0100000000000000 0200000000000000 0807060504030201 0900000000000000" +
			"04000000 65617374 e9af3ecd"},
		{"welcome", appendWelcome(nil, w), "5a4b5457 0100 0300 0200000000000000 02000000 6e6f 253c96fe"},
		{"messages", frameOf(t, message(300, 7)), "01 00 0100 21000000 98a79574 6dc044e9" +
			"ac02 1e 0808 1002 1801 2003 2800 3007 4000 4a0a 12080a02280010001800 5000 5800"},
		{"manifest", manifest, "2a00000000000000 0b000000 746865204d7367536e6170 03000000 000102 01000000" +
			"0100 61 0201000000000000 a4010000"},
		{"answer", encodeStatus(frameAnswer, StatusOK, ""), "0100 00000000 00000000"},
		{"result", encodeStatus(frameResult, StatusDiskFull, "x"), "0900 01000000 78"},
	} {
		if got, want := fmt.Sprintf("%x", c.got), strings.ReplaceAll(c.want, " ", ""); got != want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, want)
		}
	}
	if got, err := readHello(bytes.NewReader(appendHello(nil, h))); err != nil || got != h {
		t.Errorf("hello read back: %+v, %v", got, err)
	}
	if got, err := readWelcome(bytes.NewReader(appendWelcome(nil, w))); err != nil || got != w {
		t.Errorf("welcome read back: %+v, %v", got, err)
	}
}

// Every flipped bit and every cut of hello, welcome and manifest is an error, and nothing panics.
func TestDamagedHandshake(t *testing.T) {
	h, w := appendHello(nil, helloOf(7, 1)), appendWelcome(nil, welcome{status: StatusOK, node: 2, reason: "because"})
	for at := range 8 * len(h) {
		if _, err := readHello(bytes.NewReader(flip(h, at))); err == nil {
			t.Errorf("hello with bit %d flipped is taken", at)
		}
	}
	for at := range 8 * len(w) {
		if _, err := readWelcome(bytes.NewReader(flip(w, at))); err == nil {
			t.Errorf("welcome with bit %d flipped is taken", at)
		}
	}
	for n := range h {
		if _, err := readHello(bytes.NewReader(h[:n])); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("hello cut to %d bytes: %v", n, err)
		}
	}
	m := manifestOf(t, file{name: "a"}, file{name: "b", size: 4})
	for n := range m {
		if _, _, err := decodeManifest(m[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("manifest cut to %d bytes: %v", n, err)
		}
	}
}

func flip(b []byte, bit int) []byte {
	b = bytes.Clone(b)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

// FuzzFrame: whatever arrives, decoding ends with messages that encode to an equal meaning, or an error; and takes no more
// memory than the limits allow.
func FuzzFrame(f *testing.F) {
	f.Add(frameOf(f, message(1, 1)))
	f.Add(frameOf(f, message(1<<40, 1), appendMessage(2, 3, []byte("value"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerSize {
			return
		}
		b = bytes.Clone(b)
		payload := b[headerSize:]
		putHeader(b, frameMessages, le.Uint16(b[2:]), payload) // else nothing but checksums would be tried
		h, err := parseHeader(b, map[byte]uint32{frameMessages: 1 << 20})
		if err != nil || h.check(payload) != nil {
			return
		}
		msgs, err := decodeMessages(nil, payload, h.count)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error of another class: %v", err)
			}
			return
		}
		again := frameOf(t, msgs...)
		back, err := decodeMessages(nil, again[headerSize:], le.Uint16(again[2:]))
		if err != nil || len(back) != len(msgs) {
			t.Fatalf("encoded again: %d of %d messages, %v", len(back), len(msgs), err)
		}
	})
}

// FuzzSnapshotFrames: a snapshot's frames, manifests and statuses.
func FuzzSnapshotFrames(f *testing.F) {
	seed, err := encodeManifest(testHeader, []file{{name: "a", size: 1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(frameManifest), seed)
	f.Add(byte(frameAnswer), encodeStatus(frameAnswer, StatusOK, ""))
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		_, _, _ = decodeStatus(kind, payload)
		r := bufio.NewReader(bytes.NewReader(appendFrame(nil, kind, payload)))
		if _, got, err := readFrame(r, senderLimits, nil); err == nil && !bytes.Equal(got, payload) {
			t.Fatal("a frame reads back differently")
		}
		h, files, err := decodeManifest(payload)
		if err != nil {
			return
		}
		if again, err := encodeManifest(h, files); err != nil || !bytes.Equal(again, payload) {
			t.Fatalf("a manifest that is taken encodes differently: %v", err)
		}
	})
}
