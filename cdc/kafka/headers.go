package kafka

// Names of the headers. All values are text; README.md says what they mean to a consumer.
const (
	HeaderCluster      = "cluster"
	HeaderNamespace    = "namespace"
	HeaderPartition    = "partition"
	HeaderFormat       = "format"
	HeaderType         = "type"
	HeaderPosition     = "position"
	HeaderSeq          = "seq"
	HeaderOf           = "of"
	HeaderPartOffset   = "part-offset"
	HeaderPartTotal    = "part-total"
	HeaderPrevPosition = "prev-position"
	HeaderChain        = "chain"
	HeaderTime         = "time"
	HeaderChangefeed   = "changefeed"
	HeaderEpoch        = "epoch"
)

// typeFence is the header type of a record that carries nothing: a new owner begins to write.
const typeFence = "fence"

// Keys of a compacted topic that are no Redis keys, which never begin with a zero byte: they have the table's name first.
const (
	reservedPrefix = "\x00zankv/"
	partPrefix     = reservedPrefix + "part/"
	// maxReservedKey bounds what is put before a key.
	maxReservedKey = 40
)

func reservedKey(kind string) string { return reservedPrefix + kind }

// identity is what a stream's records say about where they come from.
type identity struct {
	cluster, namespace string
	partition          uint32
	format             string
	changefeed         string
	epoch              uint64
}
