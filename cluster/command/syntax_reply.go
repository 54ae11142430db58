package command

// replyArguments describes arguments as Redis 7.2 does. Docs that Redis has in addition, as the history of a command, aren't kept.
func replyArguments(r *Reply, list []argument) {
	r.Array(len(list))
	for i := range list {
		list[i].reply(r)
	}
}

// fields are how many an argument's map has.
func (a *argument) fields() int {
	n := 2
	for _, has := range [...]bool{a.shown(), a.keySpec >= 0, a.hasToken, a.since != "", a.deprecated != "", a.flags() > 0, len(a.inner) > 0} {
		if has {
			n++
		}
	}
	return n
}

// shown says whether the argument is one that help shows by its name.
func (a *argument) shown() bool { return a.kind != "oneof" && a.kind != "block" }

func (a *argument) flags() (n int) {
	for _, has := range [...]bool{a.optional, a.multiple, a.eachToken} {
		if has {
			n++
		}
	}
	return n
}

func (a *argument) reply(r *Reply) {
	r.Map(a.fields())
	field := func(name, value string) {
		r.BulkString(name)
		r.BulkString(value)
	}
	field("name", a.name)
	field("type", a.kind)
	if a.shown() {
		field("display_text", a.name)
	}
	if a.keySpec >= 0 {
		r.BulkString("key_spec_index")
		r.Int(int64(a.keySpec))
	}
	if a.hasToken {
		field("token", a.token)
	}
	if a.since != "" {
		field("since", a.since)
	}
	if a.deprecated != "" {
		field("deprecated_since", a.deprecated)
	}
	a.replyFlags(r)
	if len(a.inner) > 0 {
		r.BulkString("arguments")
		replyArguments(r, a.inner)
	}
}

func (a *argument) replyFlags(r *Reply) {
	if a.flags() == 0 {
		return
	}
	r.BulkString("flags")
	r.Set(a.flags())
	if a.optional {
		r.Status("optional")
	}
	if a.multiple {
		r.Status("multiple")
	}
	if a.eachToken {
		r.Status("multiple_token")
	}
}
