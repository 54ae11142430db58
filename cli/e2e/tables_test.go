package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// tableScan runs a scan of a table to its end.
func tableScan(t *testing.T, c *redis.Client, name, table string, options ...any) (found []any) {
	t.Helper()
	cursor := ""
	for range 10_000 {
		page, err := c.Do(bounded(t), append([]any{name, table + cursor}, options...)...).Slice()
		must(t, name, err)
		found = append(found, page[1].([]any)...)
		if cursor = page[0].(string); cursor == "" {
			return found
		}
	}
	t.Fatalf("%s %s %v: no end", name, table, options)
	return nil
}

func shown(items []any) []string {
	var all []string
	for _, item := range items {
		all = append(all, fmt.Sprint(item))
	}
	slices.Sort(all)
	return all
}

// Scans of a table over all partitions and nodes: every key of its type once, in both directions, and with FULLSCAN every element.
func TestTableScansSeeEverything(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	const ns, keys = nsTables, 40
	namespace(t, c, ns, "--partitions", "7", "--replicas", "1")
	client := plain(t, c.Nodes[0].Bound(ns))
	want, elements := map[string][]string{}, map[string][]string{}
	_, err := client.Pipelined(bounded(t), func(p redis.Pipeliner) error {
		for i := range keys {
			for _, kind := range []string{"KV", "HASH", "SET", "ZSET", "LIST"} {
				name := kind + strconv.Itoa(i)
				key, n := "t:"+name, 1+i*3
				want[kind] = append(want[kind], name)
				for j := range n {
					member := fmt.Sprint("m", j)
					switch kind {
					case "KV":
						p.Set(t.Context(), key, "v", 0)
						member = "v"
					case "HASH":
						p.HSet(t.Context(), key, member, "v")
						member = fmt.Sprintf("[%s v]", member)
					case "SET":
						p.SAdd(t.Context(), key, member)
					case "ZSET":
						p.ZAdd(t.Context(), key, redis.Z{Score: float64(j), Member: member})
						member = fmt.Sprintf("[%s %d]", member, j)
					case "LIST":
						p.RPush(t.Context(), key, member)
					}
					if kind != "KV" || j == 0 {
						elements[kind] = append(elements[kind], name+" "+member)
					}
				}
			}
		}
		p.Set(t.Context(), "u:other", "v", 0)
		p.Set(t.Context(), "t:gone", "v", 0)
		p.PExpireAt(t.Context(), "t:gone", time.UnixMilli(time.Now().UnixMilli()+1))
		return nil
	})
	must(t, "pipeline", err)
	for kind, names := range want {
		slices.Sort(names)
		slices.Sort(elements[kind])
		for i, n := range c.Nodes {
			bound, shared := plain(t, n.Bound(ns)), plain(t, n.Redis())
			for _, count := range []int{1, 50, 100000} {
				for what, found := range map[string][]any{
					"advscan":                       tableScan(t, bound, "advscan", "t:", kind, "count", count),
					"advrevscan":                    tableScan(t, bound, "advrevscan", "t:", kind, "COUNT", count),
					"advscan on the shared port":    tableScan(t, shared, "advscan", ns+":t:", kind, "COUNT", count),
					"advrevscan on the shared port": tableScan(t, shared, "advrevscan", ns+":t:", kind, "COUNT", count),
				} {
					if got := shown(found); !slices.Equal(got, names) {
						t.Errorf("node %d, %s of %s, COUNT %d: %d keys, want %d: %q", i, what, kind, count, len(got), len(names), got)
					}
				}
				if kind == "KV" {
					for _, name := range []string{"scan", "revscan"} {
						if got := shown(tableScan(t, shared, name, ns+":t:", "COUNT", count)); !slices.Equal(got, names) {
							t.Errorf("node %d, %s, COUNT %d: %d keys, want %d: %q", i, name, count, len(got), len(names), got)
						}
					}
				}
				var got []string
				for _, item := range tableScan(t, bound, "fullscan", "t:", kind, "COUNT", count) {
					key := item.([]any)
					for _, element := range key[1:] {
						got = append(got, fmt.Sprint(key[0], " ", element))
					}
				}
				if slices.Sort(got); !slices.Equal(got, elements[kind]) {
					t.Errorf("node %d, fullscan of %s, COUNT %d: %d elements, want %d", i, kind, count, len(got), len(elements[kind]))
				}
			}
		}
	}
}

// HSCAN and its kin as Redis's clients use them, over many pages: on any port, with numbers for cursors.
func TestElementScans(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	client := plain(t, c.Nodes[1].Bound("default"))
	const n = 500
	for i := range n {
		must(t, "HSET", client.HSet(t.Context(), "scans:h", fmt.Sprint("f", i), i).Err())
	}
	for i, node := range c.Nodes {
		iter := plain(t, node.Bound("default")).HScan(bounded(t), "scans:h", 0, "f*", 17).Iterator()
		seen := map[string]bool{}
		for iter.Next(bounded(t)) {
			if field := iter.Val(); strings.HasPrefix(field, "f") && seen[field] {
				t.Errorf("node %d: %s comes twice", i, field)
			} else if strings.HasPrefix(field, "f") {
				seen[field] = true
			}
		}
		if iter.Err() != nil || len(seen) != n {
			t.Errorf("node %d: %d of %d fields, %v", i, len(seen), n, iter.Err())
		}
	}
	page, err := plain(t, c.Nodes[0].Redis()).Do(t.Context(), "hscan", "default:scans:h", "", "COUNT", 3).Slice()
	if err != nil || fmt.Sprint(page[0]) != "f10" || len(page[1].([]any)) != 6 {
		t.Errorf("on the shared port: %v, %v", page, err)
	}
}
