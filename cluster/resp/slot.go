package resp

import "github.com/zankv/zankv/cluster/store"

// partition is where a logical key lives.
func (ns *Namespace) partition(key []byte) int {
	if ns.Hash == HashMurmur3 {
		return int(store.PartitionByMurmur3(key, uint32(ns.Partitions)))
	}
	return int(store.PartitionBySlot(key, uint32(ns.Partitions)))
}

// keySlot is Redis Cluster's slot of a key.
func keySlot(key []byte) int { return int(store.Slot(key)) }

// slotPartition is the partition of a slot.
func slotPartition(ns *Namespace, slot int) int {
	return int(store.PartitionOfSlot(uint16(slot), uint32(ns.Partitions)))
}

// slotRange is the first and the last slot of a partition: those with slot·P/16384 = partition.
func slotRange(ns *Namespace, partition int) (first, last int) {
	begin := func(p int) int { return (p*store.Slots + ns.Partitions - 1) / ns.Partitions }
	return begin(partition), begin(partition+1) - 1
}
