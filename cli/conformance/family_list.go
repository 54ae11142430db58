package conformance

var lists = family{name: "lists", cases: listCases}

var listCases = map[string][]string{
	"push and pop": {
		`lpush`, `lpush k`, `rpush k`, `lpush k a`, `lpush k b c`, `rpush k x y z`, `llen k`, `lrange k 0 -1`, `lpop k`, `rpop k`, `lpop k 2`, `rpop k 2`,
		`lpop k 5`, `lpop k`, `rpop k`, `lpop k 1`, `rpop k 0`, `exists k`, `lpop k -1`, `lpop k x`, `lpop k 9223372036854775808`, `lpop k 1 2`, `lpop`,
		`rpush k a b c`, `lpop k 0`, `lpop k 9223372036854775807`, `llen k`, `llen`, `type k`, `rpush k a`, `type k`, `rpush "" ""`, `lrange "" 0 -1`, `lpop ""`,
		`lpushx n a`, `rpushx n a b`, `rpush n 1`, `lpushx n 2 3`, `rpushx n 4 5`, `lrange n 0 -1`, `lpushx n`, `rpushx n`, `llen none`,
	},
}
