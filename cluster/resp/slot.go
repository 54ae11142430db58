package resp

import (
	"bytes"

	"github.com/twmb/murmur3"
)

// slots16k is the number of slots of Redis Cluster.
const slots16k = 16384

// partition is where a logical key lives.
func (ns *Namespace) partition(key []byte) int {
	if ns.Hash == HashMurmur3 {
		return int(murmur3.Sum32(key) % uint32(ns.Partitions))
	}
	return keySlot(key) * ns.Partitions / slots16k
}

// keySlot is Redis Cluster's slot of a key.
func keySlot(key []byte) int {
	if open := bytes.IndexByte(key, '{'); open >= 0 {
		if end := bytes.IndexByte(key[open+1:], '}'); end > 0 {
			key = key[open+1 : open+1+end]
		}
	}
	var crc uint16
	for _, b := range key {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^b]
	}
	return int(crc % slots16k)
}

var crcTable = makeCRCTable()

func makeCRCTable() (t [256]uint16) {
	for i := range t {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		t[i] = crc
	}
	return t
}

// slotRange is the first and the last slot of a partition: those with slot·P/16384 = partition.
func slotRange(ns *Namespace, partition int) (first, last int) {
	begin := func(p int) int { return (p*slots16k + ns.Partitions - 1) / ns.Partitions }
	return begin(partition), begin(partition+1) - 1
}
