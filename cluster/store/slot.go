package store

import (
	"bytes"

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
