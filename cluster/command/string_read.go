package command

// stringReads are the commands that read strings.
var stringReads = []*Spec{
	{Name: "get", Arity: 2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGet,
		KeyAccess: "RO access", Summary: "Returns a string's value.", Since: "1.0.0", Group: "string", Complexity: "O(1)"},
	{Name: "getnolock", Arity: 2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGet,
		KeyAccess: "RO access", Summary: "Returns a string's value. ZanKV's other name for GET.", Since: "1.0.0", Group: "string", Complexity: "O(1)"},
	{Name: "stale.getversion", Arity: 2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGetVersion,
		KeyAccess: "RO", Summary: "Returns when a string was last written, in ns since 1970, 0 if it doesn't exist.", Since: "1.0.0", Group: "string", Complexity: "O(1)"},
	{Name: "stale.getexpired", Arity: 2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGetExpired,
		KeyAccess: "RO access", Summary: "Returns a string's value, also when it has expired and not been removed yet.", Since: "1.0.0", Group: "string", Complexity: "O(1)"},
	{Name: "strlen", Arity: 2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runStrlen,
		KeyAccess: "RO", Summary: "Returns the length of a string in bytes.", Since: "2.2.0", Group: "string", Complexity: "O(1)"},
	{Name: "getrange", Arity: 4, Flags: ReadOnly, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGetRange,
		KeyAccess: "RO access", Summary: "Returns the bytes of a string from a start to an end, both included.", Since: "2.4.0", Group: "string", Complexity: "O(N), N being the length returned"},
	{Name: "substr", Arity: 4, Flags: ReadOnly, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGetRange,
		KeyAccess: "RO access", Summary: "Returns a part of a string.", Since: "1.0.0", Group: "string", Complexity: "O(N), N being the length returned",
		DeprecatedSince: "2.0.0", ReplacedBy: "`GETRANGE`"},
	{Name: "lcs", Arity: -3, Flags: ReadOnly, FirstKey: 1, LastKey: 2, KeyStep: 1, Scope: ScopeKeys, Run: runLCS,
		KeyAccess: "RO access", Summary: "Finds the longest bytes that two strings have in common, in order but not always side by side.", Since: "7.0.0", Group: "string",
		Complexity: "O(N*M), N and M being the lengths of the strings"},
	{Name: "mget", Arity: -2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Gather: GatherArray, Run: runMGet,
		Tips: []string{"request_policy:multi_shard"}, KeyAccess: "RO access",
		Summary: "Returns the values of several strings, null for what isn't one.", Since: "1.0.0", Group: "string", Complexity: "O(N), N being the number of keys"},
}

// replyValue replies a string's value, or null.
func (c *Context) replyValue(key []byte, r *row) error {
	if !r.live {
		c.Reply.Null()
		return nil
	}
	return c.replyContent(key, r, 0, r.size())
}

func runGet(c *Context) error {
	r, ok, err := c.lookText(c.Args[1])
	if !ok {
		return err
	}
	return c.replyValue(c.Args[1], r)
}

func runGetVersion(c *Context) error {
	r, ok, err := c.lookText(c.Args[1])
	switch {
	case !ok:
	case r.live:
		c.Reply.Int(r.Version.Time)
	default:
		c.Reply.Int(0)
	}
	return err
}

func runGetExpired(c *Context) error {
	r, err := c.look(c.Args[1])
	switch {
	case err != nil:
	case r.stored && !r.isString():
		c.Reply.Error(ErrWrongType)
	case r.stored:
		return c.replyContent(c.Args[1], r, 0, r.size())
	default:
		c.Reply.Null()
	}
	return err
}

func runStrlen(c *Context) error {
	r, ok, err := c.lookText(c.Args[1])
	switch {
	case !ok:
	case r.live:
		c.Reply.Int(r.size())
	default:
		c.Reply.Int(0)
	}
	return err
}

func runGetRange(c *Context) error {
	start, ok := c.intArg(2)
	if !ok {
		return nil
	}
	end, ok := c.intArg(3)
	if !ok {
		return nil
	}
	r, ok, err := c.lookText(c.Args[1])
	if !ok {
		return err
	}
	if !r.live {
		c.Reply.BulkString("")
		return nil
	}
	from, to := span(r.size(), start, end)
	return c.replyContent(c.Args[1], r, from, to)
}

// span gives the bytes from start to end, both included, of a string of n bytes as a half open range; negative ones count from the end.
func span(n, start, end int64) (from, to int64) {
	if start < 0 && end < 0 && start > end {
		return 0, 0
	}
	if start < 0 {
		start = max(n+start, 0)
	}
	if end < 0 {
		end = max(n+end, 0)
	}
	end = min(end, n-1)
	if start > end {
		return 0, 0
	}
	return start, end + 1
}

func runMGet(c *Context) error {
	keys := c.Args[1:]
	c.Reply.Array(len(keys))
	for _, key := range keys {
		r, err := c.look(key)
		switch {
		case err != nil:
		case r.live && r.isString():
			err = c.replyContent(key, r, 0, r.size())
		default:
			c.Reply.Null()
		}
		if err == nil {
			err = c.replyPart()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
