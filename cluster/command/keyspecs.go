package command

// keySpec is one way in which a command's keys are found, as COMMAND INFO tells it: where the search begins (an index, a keyword, or not to be
// told), and how keys go on from there (a range, a number of keys, or not to be told).
type keySpec struct {
	access, notes string
	index         int    // of the first key, or of the number of keys
	keyword       string // in the place of index; from: where it is looked for
	from          int
	last, limit   int  // range: the last key, counted from the first, or from the end if negative; limit divides what is left
	numKeys       bool // the argument found says how many keys follow
	unknown       bool
}

const (
	readAccess  = "RO access"
	storeAccess = "OW update"
	popAccess   = "RW access delete"
)

// keySpecs are those of commands for which FirstKey, LastKey, KeyStep and KeyAccess don't say all.
var keySpecs = map[string][]keySpec{
	"rename":   {{access: popAccess, index: 1}, {access: storeAccess, index: 2}},
	"renamenx": {{access: popAccess, index: 1}, {access: "OW insert", index: 2}},
	"copy":     {{access: readAccess, index: 1}, {access: storeAccess, index: 2}},
	"bitop":    {{access: storeAccess, index: 2}, {access: readAccess, index: 3, last: -1}},
	"pfmerge":  {{access: "RW access insert", index: 1}, {access: readAccess, index: 2, last: -1}},
	"smove":    {{access: popAccess, index: 1}, {access: "RW insert", index: 2}},

	"lmove":      {{access: popAccess, index: 1}, {access: "RW insert", index: 2}},
	"blmove":     {{access: popAccess, index: 1}, {access: "RW insert", index: 2}},
	"rpoplpush":  {{access: popAccess, index: 1}, {access: "RW insert", index: 2}},
	"brpoplpush": {{access: popAccess, index: 1}, {access: "RW insert", index: 2}},
	"lmpop":      {{access: popAccess, index: 1, numKeys: true}},
	"blmpop":     {{access: popAccess, index: 2, numKeys: true}},
	"zmpop":      {{access: popAccess, index: 1, numKeys: true}},
	"bzmpop":     {{access: popAccess, index: 2, numKeys: true}},

	"sintercard":  {{access: readAccess, index: 1, numKeys: true}},
	"sinterstore": {{access: "RW update", index: 1}, {access: readAccess, index: 2, last: -1}},
	"sunionstore": {{access: storeAccess, index: 1}, {access: readAccess, index: 2, last: -1}},
	"sdiffstore":  {{access: storeAccess, index: 1}, {access: readAccess, index: 2, last: -1}},

	"zinter":      {{access: readAccess, index: 1, numKeys: true}},
	"zunion":      {{access: readAccess, index: 1, numKeys: true}},
	"zdiff":       {{access: readAccess, index: 1, numKeys: true}},
	"zintercard":  {{access: readAccess, index: 1, numKeys: true}},
	"zinterstore": {{access: storeAccess, index: 1}, {access: readAccess, index: 2, numKeys: true}},
	"zunionstore": {{access: storeAccess, index: 1}, {access: readAccess, index: 2, numKeys: true}},
	"zdiffstore":  {{access: storeAccess, index: 1}, {access: readAccess, index: 2, numKeys: true}},
	"zrangestore": {{access: storeAccess, index: 1}, {access: readAccess, index: 2}},

	"geosearchstore": {{access: storeAccess, index: 1}, {access: readAccess, index: 2}},
	"georadius": {{access: readAccess, index: 1}, {access: storeAccess, keyword: "STORE", from: 6},
		{access: storeAccess, keyword: "STOREDIST", from: 6}},
	"georadiusbymember": {{access: readAccess, index: 1}, {access: storeAccess, keyword: "STORE", from: 5},
		{access: storeAccess, keyword: "STOREDIST", from: 5}},

	"sort": {{access: readAccess, index: 1},
		{access: readAccess, unknown: true, notes: "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort"},
		{access: storeAccess, unknown: true, notes: "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array"}},
	"sort_ro": {{access: readAccess, index: 1},
		{access: readAccess, unknown: true, notes: "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort"}},

	"xread": {{access: readAccess, keyword: "STREAMS", from: 1, last: -1, limit: 2}},
}

// keySpecsOf are a command's.
func (s *Spec) keySpecsOf() []keySpec {
	if specs, ok := keySpecs[s.Name]; ok {
		return specs
	}
	if s.FirstKey == 0 {
		return nil
	}
	last := s.LastKey
	if last > 0 {
		last -= s.FirstKey
	}
	return []keySpec{{access: s.KeyAccess, notes: s.KeyNotes, index: s.FirstKey, last: last}}
}

func (s *Spec) replyKeySpecs(r *Reply) {
	specs := s.keySpecsOf()
	r.Set(len(specs))
	for i := range specs {
		specs[i].reply(r, max(s.KeyStep, 1))
	}
}

func (k *keySpec) reply(r *Reply, step int) {
	if k.notes != "" {
		r.Map(4)
		r.BulkString("notes")
		r.BulkString(k.notes)
	} else {
		r.Map(3)
	}
	r.BulkString("flags")
	replyWords(r, k.access)
	r.BulkString("begin_search")
	k.replyBegin(r)
	r.BulkString("find_keys")
	k.replyFind(r, step)
}

func (k *keySpec) replyBegin(r *Reply) {
	switch {
	case k.unknown:
		replyUnknown(r)
	case k.keyword != "":
		replyTyped(r, "keyword", 2)
		r.BulkString("keyword")
		r.BulkString(k.keyword)
		r.BulkString("startfrom")
		r.Int(int64(k.from))
	default:
		replyTyped(r, "index", 1)
		r.BulkString("index")
		r.Int(int64(k.index))
	}
}

func (k *keySpec) replyFind(r *Reply, step int) {
	switch {
	case k.unknown:
		replyUnknown(r)
	case k.numKeys:
		replyTyped(r, "keynum", 3)
		replyNumbers(r, "keynumidx", 0, "firstkey", 1, "keystep", 1)
	default:
		replyTyped(r, "range", 3)
		replyNumbers(r, "lastkey", k.last, "keystep", step, "limit", k.limit)
	}
}

func replyUnknown(r *Reply) { replyTyped(r, "unknown", 0) }

// replyTyped starts a map of a type and its so many properties.
func replyTyped(r *Reply, kind string, properties int) {
	r.Map(2)
	r.BulkString("type")
	r.BulkString(kind)
	r.BulkString("spec")
	r.Map(properties)
}

func replyNumbers(r *Reply, a string, x int, b string, y int, c string, z int) {
	r.BulkString(a)
	r.Int(int64(x))
	r.BulkString(b)
	r.Int(int64(y))
	r.BulkString(c)
	r.Int(int64(z))
}
