package meta

import "testing"

// One leader changes in a cluster of ten namespaces with as many partitions as there can be.
func BenchmarkViewLeader(b *testing.B) {
	builder := NewBuilder()
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		ns := testNamespace(name)
		ns.Partitions = MaxPartitions
		builder.SetNamespace(name, ns)
		for i := range MaxPartitions {
			id := PartitionID{name, i}
			builder.SetPlacement(id, &Placement{Partition: id})
		}
	}
	builder.View(1)
	term := uint64(0)
	for b.Loop() {
		term++
		id := PartitionID{"e", int(term) % MaxPartitions}
		builder.SetLeader(id, &Leader{Partition: id, Node: 1, Term: term})
		if _, errs := builder.View(int64(term)); len(errs) > 0 {
			b.Fatal(errs)
		}
	}
	b.ReportAllocs()
}
