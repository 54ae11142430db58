package peers

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/zankv/zankv/cli/internal/failure"
)

// redisWithin is how long a Redis command may take. Large values are dumped and restored.
const redisWithin = 30 * time.Second

// anyPassword is what a namespace without a password takes.
const anyPassword = "none"

// Redis opens a client of a namespace at the first node whose shared port answers. Its connections are bound to the namespace: keys have no prefix.
// An empty password is that of a namespace without one. Close it.
func (c *Cluster) Redis(ctx context.Context, namespace, password string) (*redis.Client, error) {
	top, err := c.Topology(ctx, namespace)
	if err != nil {
		return nil, err
	}
	if password == "" {
		password = anyPassword
	}
	var failed []string
	for _, n := range top.Nodes {
		if !n.Alive || n.Redis == "" {
			continue
		}
		client := redis.NewClient(&redis.Options{
			Addr: n.Redis, Username: namespace, Password: password, Protocol: 2, DisableIdentity: true, PoolSize: 2, MaxRetries: -1,
			DialTimeout: askWithin, ReadTimeout: redisWithin, WriteTimeout: redisWithin, ContextTimeoutEnabled: true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
		if err = client.Ping(ctx).Err(); err == nil {
			return client, nil
		}
		_ = client.Close()
		if strings.HasPrefix(err.Error(), "WRONGPASS") {
			return nil, failure.New(failure.Invalid, "give it with --password, or in ZANKV_PASSWORD", "namespace %s of cluster %s wants another password", namespace, top.Cluster)
		}
		failed = append(failed, fmt.Sprintf("%s: %v", n.Redis, err))
	}
	return nil, failure.New(failure.Unavailable, "see that the nodes run, and that their Redis port (12381 by default) can be reached from here",
		"no node of cluster %s answered Redis commands: %s", top.Cluster, strings.Join(failed, "; "))
}
