package rdb

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
)

// TestChecksum holds the polynomial against the value that the algorithm is known by.
func TestChecksum(t *testing.T) {
	if got := checksum([]byte("123456789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("CRC-64 of 123456789: %016x", got)
	}
}

func write(v *Value) []byte {
	w := Begin(nil, v.Type, uint64(len(v.Items)))
	if v.Type == event.TypeString {
		w.String(v.String)
	}
	for _, item := range v.Items {
		w.String(item.Name)
		switch v.Type {
		case event.TypeHash:
			w.String(item.Value)
		case event.TypeZSet:
			w.Score(item.Score)
		}
	}
	return w.End()
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, 0))
	text := func() []byte {
		return bytes.Repeat([]byte{byte(draw.Uint32())}, []int{0, 1, 63, 64, 16383, 16384, 70000}[draw.IntN(7)])
	}
	for range 300 {
		v := Value{Type: event.Type(1 + draw.IntN(5))}
		if v.Type == event.TypeString {
			v.String = text()
		} else {
			for i := range 1 + draw.IntN(70) {
				item := Item{Name: append(binary.BigEndian.AppendUint32(nil, uint32(i)), text()...)}
				switch v.Type {
				case event.TypeHash:
					item.Value = text()
				case event.TypeZSet:
					item.Score = []float64{0, 1.5, -3e200, math.Inf(1), math.Inf(-1)}[draw.IntN(5)]
				}
				v.Items = append(v.Items, item)
			}
		}
		got, err := Decode(write(&v), 0)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(normal(got), normal(v)) {
			t.Fatalf("type %s: read %d items, wrote %d", v.Type, len(got.Items), len(v.Items))
		}
	}
}

// normal makes nil of what is empty.
func normal(v Value) Value {
	if len(v.String) == 0 {
		v.String = nil
	}
	for i := range v.Items {
		if len(v.Items[i].Value) == 0 {
			v.Items[i].Value = nil
		}
	}
	return v
}

// seal gives a body a right version and checksum.
func seal(body string) []byte {
	b := binary.LittleEndian.AppendUint16([]byte(body), maxVersion)
	return binary.LittleEndian.AppendUint64(b, checksum(b))
}

// TestEncodings reads what isn't written here, byte by byte as the formats say.
func TestEncodings(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"int8":       {"\x00\xc0\xfe", "-2"},
		"int16":      {"\x00\xc1\x00\x80", "-32768"},
		"int32":      {"\x00\xc2\xff\xff\xff\x7f", "2147483647"},
		"length 32":  {"\x00\x80\x00\x00\x00\x02hi", "hi"},
		"length 64":  {"\x00\x81\x00\x00\x00\x00\x00\x00\x00\x02hi", "hi"},
		"intset":     {"\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\xff\xff\x05\x00", "-1 5"},
		"old scores": {"\x03\x02\x01a\x041.25\x01b\xfe", "a=1.25 b=+Inf"},
		"zipmap":     {"\x09\x0b\x01\x01f\x03\x02val??\xff", "f:val"},
		"ziplist": {"\x0a\x1d\x1d\x00\x00\x00\x00\x00\x00\x00\x05\x00" +
			"\x00\x02hi" + "\x04\xc0\x00\x01" + "\x04\xf0\xff\xff\xff" + "\x05\xf3" + "\x02\xfe\x80" + "\xff", "hi 256 -1 2 -128"},
		"listpack": {"\x14\x18\x18\x00\x00\x00\x06\x00" +
			"\x05\x01" + "\x82hi\x03" + "\xdf\xff\x02" + "\xf1\x00\x01\x03" + "\xe0\x01x\x03" + "\xff", "5 hi -1 256 x"},
		"quicklist 2": {"\x12\x02\x01\x02hi\x02\x09\x09\x00\x00\x00\x01\x00\x07\x01\xff", "hi 7"},
		"hash pack":   {"\x10\x0c\x0c\x00\x00\x00\x02\x00\x81f\x02\x07\x01\xff", "f:7"},
		"zset pack":   {"\x11\x0c\x0c\x00\x00\x00\x02\x00\x81m\x02\x07\x01\xff", "m=7"},
	} {
		v, err := Decode(seal(c.body), 1<<20)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := show(&v); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func show(v *Value) string {
	if v.Type == event.TypeString {
		return string(v.String)
	}
	var parts []string
	for _, i := range v.Items {
		s := string(i.Name)
		switch v.Type {
		case event.TypeHash:
			s += ":" + string(i.Value)
		case event.TypeZSet:
			s += "=" + strings.TrimSuffix(strings.TrimRight(formatScore(i.Score), "0"), ".")
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ")
}

func formatScore(f float64) string {
	if math.IsInf(f, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(f, 'f', 3, 64)
}

func TestRefused(t *testing.T) {
	good := write(&Value{Type: event.TypeString, String: []byte("hello")})
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if _, err := Decode(bad, 0); !errors.Is(err, ErrChecksum) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := Decode(good[:i], 0); !errors.Is(err, ErrChecksum) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	for name, body := range map[string]string{
		"unknown type":      "\x0f\x00",
		"more behind":       "\x00\x01ab",
		"empty list":        "\x01\x00",
		"repeated member":   "\x02\x02\x01a\x01a",
		"repeated field":    "\x04\x02\x01a\x01x\x01a\x01y",
		"not a number":      "\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x7f",
		"too many items":    "\x02\x80\xff\xff\xff\xff",
		"too long a string": "\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff",
		"compression bomb":  "\x00\xc3\x04\x80\x7f\xff\xff\xff\x00a\xe0\x00",
		"odd hash":          "\x10\x0a\x0a\x00\x00\x00\x01\x00\x81f\x02\xff",
		"length of a pack":  "\x14\x09\x08\x00\x00\x00\x01\x00\x07\x01\xff",
		"width of a set":    "\x0b\x0b\x03\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00",
	} {
		if v, err := Decode(seal(body), 1<<20); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

func TestExpand(t *testing.T) {
	// One byte as it is, then 199 times the one before.
	in := append([]byte{0, 'a'}, 0xE0, 199-9, 0)
	out, ok := expand(in, 200)
	if !ok || string(out) != strings.Repeat("a", 200) {
		t.Fatalf("%q %v", out, ok)
	}
	for size := range 400 {
		if _, ok := expand(in, size); ok != (size == 200) {
			t.Errorf("size %d: %v", size, ok)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"\x00\x01a", "\x01\x01\x01a", "\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf0\x3f", "\x14\x09\x09\x00\x00\x00\x01\x00\x07\x01\xff", "\x0e\x01\x0b\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff", "\x00\xc3\x05\x40\xc8\x00a\xe0\xbe\x00"} {
		f.Add([]byte(s))
	}
	if long, err := hex.DecodeString("0903010161"); err == nil {
		f.Add(long)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := Decode(seal(string(body)), 1<<16)
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrChecksum) {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := Decode(write(&v), 1<<16)
		if err != nil || !reflect.DeepEqual(normal(again), normal(v)) {
			t.Fatalf("%+v became %+v: %v", v, again, err)
		}
	})
}
