package store

import (
	"bytes"
	"iter"

	"github.com/twmb/murmur3"
)

// Slots is the number of hash slots of Redis Cluster.
const Slots = 16384

// Slot is the hash slot of a logical key, as Redis Cluster defines it: CRC-16/XMODEM modulo 16384, of what stands
// between the first { and the first } after it if that isn't empty, else of the whole key.
// Source: the Redis Cluster specification, "Hash tags".
func Slot(key []byte) uint16 {
	return crc16(hashTag(key)) % Slots
}

func hashTag(key []byte) []byte {
	open := bytes.IndexByte(key, '{')
	if open < 0 {
		return key
	}
	rest := key[open+1:]
	end := bytes.IndexByte(rest, '}')
	if end <= 0 {
		return key
	}
	return rest[:end]
}

// PartitionBySlot is the partition of a key under `partition_hash: crc16`: consecutive slots share a partition. partitions is in
// [1, Slots].
func PartitionBySlot(key []byte, partitions uint32) uint32 {
	return PartitionOfSlot(Slot(key), partitions)
}

// PartitionOfSlot is the partition that holds a slot.
func PartitionOfSlot(slot uint16, partitions uint32) uint32 {
	return uint32(slot) * partitions / Slots
}

// PartitionByMurmur3 is the partition of a key under `partition_hash: murmur3`, what ZanKV's SDKs compute: the 32-bit
// hash with seed 0 modulo the number of partitions, which is at least 1.
func PartitionByMurmur3(key []byte, partitions uint32) uint32 {
	return murmur3.Sum32(key) % partitions
}

// Cut is how a namespace is cut into partitions.
type Cut struct {
	Hash       string // crc16 or murmur3
	Partitions uint32
}

// Numbers are numbers of partitions: First, and each the Step further, Count in all.
type Numbers struct{ First, Step, Count uint32 }

// At is the one of an index below Count.
func (n Numbers) At(i uint32) uint32 { return n.First + i*n.Step }

// Index is which one a number is; false if it isn't among them.
func (n Numbers) Index(number uint32) (i uint32, ok bool) {
	if number < n.First || n.Count == 0 {
		return 0, false
	}
	i = (number - n.First) / n.Step
	return i, i < n.Count && n.At(i) == number
}

// All are the numbers, in order.
func (n Numbers) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := range n.Count {
			if !yield(n.At(i)) {
				return
			}
		}
	}
}

// Sharing is which partitions of another namespace, or of the same one in another cluster, can hold a key of this one's partition of a number: the others
// never do. Partitions by slots share keys where their slots overlap; by murmur3, of P and Q partitions, where their numbers are the same modulo
// the greatest common divisor of P and Q. Different hashes have nothing to do with each other: then, and where a cut isn't one that is known here, it is all.
func (c Cut) Sharing(number uint32, other Cut) Numbers {
	all := Numbers{First: 0, Step: 1, Count: other.Partitions}
	if c.Hash != other.Hash || number >= c.Partitions || other.Partitions == 0 {
		return all
	}
	switch {
	case c.Hash == hashMurmur3:
		step := gcd(c.Partitions, other.Partitions)
		return Numbers{First: number % step, Step: step, Count: other.Partitions / step}
	case c.Hash == hashCRC16 && c.Partitions <= Slots && other.Partitions <= Slots:
		first := PartitionOfSlot(c.firstSlot(number), other.Partitions)
		last := PartitionOfSlot(c.firstSlot(number+1)-1, other.Partitions)
		return Numbers{First: first, Step: 1, Count: last - first + 1}
	}
	return all
}

// Shares says whether a partition of this cut and one of another can hold the same key. One that isn't in the other cut may: then that isn't known.
func (c Cut) Shares(number uint32, other Cut, with uint32) bool {
	_, ok := c.Sharing(number, other).Index(with)
	return ok || with >= other.Partitions
}

// The names that namespaces have for what they are cut by.
const (
	hashCRC16   = "crc16"
	hashMurmur3 = "murmur3"
)

// firstSlot is the first slot of a partition by slots; that of the partition after the last one is Slots.
func (c Cut) firstSlot(number uint32) uint16 {
	return uint16((number*Slots + c.Partitions - 1) / c.Partitions)
}

func gcd(a, b uint32) uint32 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func crc16(p []byte) uint16 {
	var crc uint16
	for _, b := range p {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^b]
	}
	return crc
}

var crcTable = makeCRCTable()

func makeCRCTable() (t [256]uint16) {
	const polynomial = 0x1021
	for i := range t {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ polynomial
			} else {
				crc <<= 1
			}
		}
		t[i] = crc
	}
	return t
}
