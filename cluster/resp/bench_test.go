package resp

import (
	"math"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/zankv/zankv/cluster/command"
)

// BenchmarkConnGet measures the front end alone: one client, pipelines of GETs against a map.
func BenchmarkConnGet(b *testing.B) { benchPipelines(b, encode("GET", "key:000000001")) }

// BenchmarkConnSet does so with SETs of 128 bytes, through Submit.
func BenchmarkConnSet(b *testing.B) {
	benchPipelines(b, encode("SET", "key:000000001", string(make([]byte, 128))))
}

func benchPipelines(b *testing.B, cmd string) {
	cl := newCluster(b, 1, nil, oneNamespace(4))
	for _, pipeline := range []int{1, 16} {
		b.Run(strconv.Itoa(pipeline), func(b *testing.B) {
			c := dial(b, cl.nodes[0].addr[NamespacePort])
			c.do("SET", "key:000000001", string(make([]byte, 128)))
			batch := ""
			for range pipeline {
				batch += cmd
			}
			out := []byte(batch)
			c.nc.Write(out)
			n := 0
			for range pipeline {
				n += len(c.reply())
			}
			in := make([]byte, n)
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += pipeline {
				c.nc.Write(out)
				for got := 0; got < n; {
					m, err := c.nc.Read(in[got:])
					if err != nil {
						b.Fatal(err)
					}
					got += m
				}
			}
		})
	}
}

// BenchmarkRedisBenchmark compares with redis-server under redis-benchmark: 50 clients, GET and SET, pipelines of 1 and 16. It runs each
// five times, whatever b.N, and reports requests per second and the ratio.
func BenchmarkRedisBenchmark(b *testing.B) {
	if os.Getenv("RESP_BENCH") == "" {
		b.Skip("set RESP_BENCH=1: takes half a minute")
	}
	ours := newCluster(b, 1, nil, oneNamespace(4)).nodes[0].addr[NamespacePort]
	theirs := startRedis(b)
	for _, test := range []string{"get", "set"} {
		for _, pipeline := range []string{"1", "16"} {
			b.Run(test+"/"+pipeline, func(b *testing.B) {
				// Turn and turn about: on a machine with other work, neighbouring runs compare best.
				var a, z float64
				for range 5 {
					a += redisBenchmark(b, ours, test, pipeline) / 5
					z += redisBenchmark(b, theirs, test, pipeline) / 5
				}
				b.ReportMetric(a, "ours/s")
				b.ReportMetric(z, "redis/s")
				b.ReportMetric(a/z, "ratio")
			})
		}
	}
}

var perSecond = regexp.MustCompile(`"([0-9.]+)"`)

func redisBenchmark(b *testing.B, addr, test, pipeline string) float64 {
	host, port := splitAddr(b, addr)
	n := "30000"
	if pipeline == "16" {
		n = "200000"
	}
	out, err := exec.Command("redis-benchmark", "-h", host, "-p", port, "-t", test, "-P", pipeline, "-c", "50", "-n", n, "-r", "100000", "-d", "128", "--csv").Output()
	if err != nil {
		b.Fatal(err)
	}
	m := perSecond.FindAllStringSubmatch(string(out), -1)
	for _, f := range m {
		if v, err := strconv.ParseFloat(f[1], 64); err == nil && v > 100 {
			return v
		}
	}
	b.Fatalf("redis-benchmark said %q", out)
	return 0
}

// BenchmarkTrace measures what watching commands adds to each: the look at the hooks, one reading of the clock, and the sums; with what all
// connections share touched once in 16 commands.
func BenchmarkTrace(b *testing.B) {
	cl := newCluster(b, 1, nil, oneNamespace(1))
	c := newConn(cl.nodes[0].srv, nil, NamespacePort, "default")
	c.srv.slowFrom.Store(math.MaxInt64) // a machine with other work is slow at times
	args := [][]byte{[]byte("GET"), []byte("k")}
	spec := command.Lookup(args[0])
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if c.hooks(spec, args) != "" {
			b.Fatal("refused")
		}
		c.timed(spec, args)
		if i%16 == 0 {
			c.account()
		}
	}
}
