package command

// flagNames are the names of Flags in COMMAND INFO, in Redis's order.
var flagNames = []struct {
	flag Flags
	name string
}{
	{Write, "write"}, {ReadOnly, "readonly"}, {DenyOOM, "denyoom"}, {Admin, "admin"}, {NoScript, "noscript"}, {Blocking, "blocking"},
	{Loading, "loading"}, {Stale, "stale"}, {SkipMonitor, "skip_monitor"}, {SkipSlowlog, "skip_slowlog"}, {Fast, "fast"}, {NoAuth, "no_auth"},
	{NoAsyncLoading, "no_async_loading"}, {NoMulti, "no_multi"}, {MovableKeys, "movablekeys"}, {AllowBusy, "allow_busy"},
}

// categoryNames are the ACL categories in Redis's order.
var categoryNames = []string{
	"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream", "pubsub",
	"admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
}

// groupCategories are the categories that follow from a command's group.
var groupCategories = map[string]string{
	"generic": "keyspace", "string": "string", "hash": "hash", "list": "list", "set": "set", "sorted-set": "sortedset", "bitmap": "bitmap",
	"hyperloglog": "hyperloglog", "geo": "geo", "stream": "stream", "transactions": "transaction", "connection": "connection",
}

// Describe answers COMMAND and its subcommands COUNT, INFO, LIST, DOCS, GETKEYS and GETKEYSANDFLAGS. args are the whole command line, which
// has passed Resolve. ok is false, and nothing was replied, for what it doesn't answer.
func Describe(r *Reply, args [][]byte) (ok bool) {
	if len(args) == 1 {
		replyAll(r)
		return true
	}
	switch rest := args[2:]; {
	case equalFold(args[1], "count"):
		r.Int(int64(len(names)))
	case equalFold(args[1], "info") && len(rest) == 0:
		replyAll(r)
	case equalFold(args[1], "info"):
		replyInfo(r, rest)
	case equalFold(args[1], "list"):
		replyList(r, rest)
	case equalFold(args[1], "docs"):
		replyDocs(r, rest)
	case equalFold(args[1], "getkeys"):
		replyKeys(r, rest, false)
	case equalFold(args[1], "getkeysandflags"):
		replyKeys(r, rest, true)
	default:
		return false
	}
	return true
}

func replyAll(r *Reply) {
	r.Array(len(names))
	for _, s := range names {
		s.reply(r)
	}
}

// byFullName finds a command, or a subcommand by its name with the bar.
func byFullName(name []byte) *Spec {
	for i, b := range name {
		if b == '|' {
			if s := Lookup(name[:i]); s != nil {
				return s.Subcommand(name[i+1:])
			}
			return nil
		}
	}
	return Lookup(name)
}

func replyInfo(r *Reply, wanted [][]byte) {
	r.Array(len(wanted))
	for _, name := range wanted {
		if s := byFullName(name); s != nil {
			s.reply(r)
		} else {
			r.Null()
		}
	}
}

// reply describes the command as COMMAND INFO does.
func (s *Spec) reply(r *Reply) {
	r.Array(10)
	r.BulkString(s.Name)
	r.Int(int64(s.Arity))
	s.replyFlags(r)
	r.Int(int64(s.FirstKey))
	r.Int(int64(s.LastKey))
	r.Int(int64(s.KeyStep))
	s.replyCategories(r)
	replyStrings(r, s.Tips)
	s.replyKeySpecs(r)
	r.Set(len(s.Subcommands))
	for _, sub := range s.Subcommands {
		sub.reply(r)
	}
}

func (s *Spec) replyFlags(r *Reply) {
	n := 0
	for _, f := range flagNames {
		if s.Flags&f.flag != 0 {
			n++
		}
	}
	r.Set(n)
	for _, f := range flagNames {
		if s.Flags&f.flag != 0 {
			r.Status(f.name)
		}
	}
}

// inCategory says whether the command is in an ACL category: by its flags and group, or by name.
func (s *Spec) inCategory(name string) bool {
	for _, c := range s.Categories {
		if c == name {
			return true
		}
	}
	if groupCategories[s.Group] == name && len(s.Categories) == 0 && len(s.Subcommands) == 0 {
		return true
	}
	switch name {
	case "blocking":
		return s.Flags&Blocking != 0
	case "read":
		return s.Flags&ReadOnly != 0
	case "write":
		return s.Flags&Write != 0
	case "admin", "dangerous":
		return s.Flags&Admin != 0
	case "fast":
		return s.Flags&Fast != 0
	case "slow":
		return s.Flags&Fast == 0
	}
	return false
}

func (s *Spec) replyCategories(r *Reply) {
	n := 0
	for _, c := range categoryNames {
		if s.inCategory(c) {
			n++
		}
	}
	r.Set(n)
	for _, c := range categoryNames {
		if s.inCategory(c) {
			r.Status("@" + c)
		}
	}
}

func replyStrings(r *Reply, list []string) {
	r.Set(len(list))
	for _, s := range list {
		r.BulkString(s)
	}
}
