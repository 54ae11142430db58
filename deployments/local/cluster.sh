#!/usr/bin/env bash
# A cluster of separate processes on this machine: one etcd and some data nodes, each with its own directory, configuration,
# log and pid file. See usage below, and README.md beside this file.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

command=${1:-}
[ $# -gt 0 ] && shift
zankv=${ZANKV:-$root/bin/zankv}
dir=$root/data/cluster
nodes=3 partitions=4 replicas=3 cluster_id=local namespace=default host=127.0.0.1 wait_seconds=60
etcd_port=2379 redis_port=12381 http_port=12380 grpc_port=12382 raft_port=12379 namespace_port=16379 cluster_port=17379

usage() {
	cat <<END
usage: cluster.sh start|stop|status [options]

  start    start what isn't running: etcd, the nodes, and the namespace if there is none yet; returns when it answers
  stop     end the processes that start has started, and wait for them
  status   what is running, and where it answers; fails if something isn't

  --dir DIR            data, configurations, logs and pid files   ($dir)
  --nodes N            data nodes                                 ($nodes)
  --partitions N       partitions of the namespace                ($partitions)
  --replicas N         replicas of each                           ($replicas)
  --cluster-id ID                                                 ($cluster_id)
  --namespace NAME                                                ($namespace)
  --host ADDR          address that the nodes tell others         ($host)
  --wait SECONDS       how long start waits until it answers      ($wait_seconds)
  --etcd-port PORT ($etcd_port)  --redis-port ($redis_port)  --http-port ($http_port)  --grpc-port ($grpc_port)
  --raft-port ($raft_port)  --namespace-port ($namespace_port)  --cluster-port ($cluster_port)
                       ports of node 0; node i adds 10 times i to each but etcd's

What start was given first is kept in DIR/settings; later calls need --dir only.
The binary is bin/zankv of the source tree, or what the variable ZANKV says.
END
}

die() {
	echo "cluster.sh: $*" >&2
	exit 1
}

settings=(nodes partitions replicas cluster_id namespace host etcd_port redis_port http_port grpc_port raft_port namespace_port cluster_port)

# parse sets the variables named by the options; dir comes first, as its settings are what the others change.
parse() {
	local args=("$@") i
	for ((i = 0; i < ${#args[@]}; i++)); do
		if [ "${args[i]}" = --dir ]; then dir=${args[i + 1]:?--dir wants a directory}; fi
	done
	if [ -f "$dir/settings" ]; then
		local name value
		while IFS='=' read -r name value; do printf -v "$name" %s "$value"; done <"$dir/settings"
	fi
	while [ $# -gt 0 ]; do
		local key=${1#--}
		case $1 in
		--dir) ;;
		--wait) wait_seconds=${2:?--wait wants seconds} ;;
		--*)
			key=${key//-/_}
			[[ " ${settings[*]} " == *" $key "* ]] || die "unknown option $1 (see cluster.sh without arguments)"
			[ $# -gt 1 ] || die "$1 wants a value"
			if [ -f "$dir/settings" ] && [ "${!key}" != "$2" ]; then
				die "$1 $2: the cluster in $dir was made with ${!key}; use another --dir, or remove that one"
			fi
			printf -v "$key" %s "$2"
			;;
		*) die "unknown argument $1 (see cluster.sh without arguments)" ;;
		esac
		[ $# -gt 1 ] || die "$1 wants a value"
		shift 2
	done
}

save_settings() {
	local name
	for name in "${settings[@]}"; do echo "$name=${!name}"; done >"$dir/settings.new"
	mv "$dir/settings.new" "$dir/settings"
}

names() {
	local i
	echo etcd
	for ((i = 0; i < nodes; i++)); do echo "node$i"; done
}

# running says whether the process of a pid file is there and is the one that was started: pids are given anew.
running() {
	local pid
	[ -f "$dir/$1/pid" ] || return 1
	pid=$(<"$dir/$1/pid")
	[ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "$dir/$1/"
}

# launch NAME ARGUMENT... starts zankv in the background.
launch() {
	local name=$1
	shift
	if running "$name"; then return; fi
	setsid "$zankv" "$@" </dev/null >>"$dir/$name/log" 2>&1 &
	echo $! >"$dir/$name/pid"
}

# write_config I writes the configuration of node i.
write_config() {
	local i=$1 add=$((10 * $1))
	cat >"$dir/node$i/node.json" <<END
{
  "cluster_id": "$cluster_id",
  "etcd_cluster_addresses": "http://127.0.0.1:$etcd_port",
  "broadcast_addr": "$host",
  "data_dir": "$dir/node$i/data",
  "redis_api_port": $((redis_port + add)),
  "http_api_port": $((http_port + add)),
  "grpc_api_port": $((grpc_port + add)),
  "local_raft_addr": "http://$host:$((raft_port + add))",
  "namespace_ports": {"$namespace": $((namespace_port + add))},
  "cluster_ports": {"$namespace": $((cluster_port + add))},
  "tags": {"dc_info": "dc1"},
  "tick_ms": 100,
  "election_tick": 10
}
END
}

# ask PORT COMMAND prints the first line of the answer. It is a process of its own, so that a connection that fails ends
# nothing else.
ask() (
	exec 2>/dev/null
	exec 3<>"/dev/tcp/$host/$1"
	printf '%s\r\n' "$2" >&3
	line=
	read -r -t 5 line <&3
	[ -n "$line" ] || exit 1
	echo "${line%$'\r'}"
)

# answers: DBSIZE asks every partition, so a number means that each has a leader.
answers() { [[ $(ask "$namespace_port" DBSIZE) == :* ]]; }

# await WHAT CONDITION... tries once a fifth of a second, as long as the processes live.
await() {
	local what=$1 name limit=$((SECONDS + wait_seconds))
	shift
	until "$@"; do
		for name in $(names); do
			if [ -f "$dir/$name/pid" ] && ! running "$name"; then
				tail -n 5 "$dir/$name/log" >&2
				die "$name ended, see $dir/$name/log"
			fi
		done
		[ $SECONDS -lt $limit ] || die "$what: not within $wait_seconds s, see $dir/*/log"
		sleep 0.2
	done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start() {
	local i
	[ -x "$zankv" ] || die "$zankv isn't there: run make build first, or set ZANKV"
	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd)
	save_settings
	mkdir -p "$dir/etcd/data"
	if ! running etcd && listens "$etcd_port"; then die "port $etcd_port is taken: another etcd? use --etcd-port"; fi
	launch etcd etcd --data-dir "$dir/etcd/data" --client-port "$etcd_port"
	await "etcd on port $etcd_port" listens "$etcd_port"
	for ((i = 0; i < nodes; i++)); do
		mkdir -p "$dir/node$i/data"
		write_config "$i"
		launch "node$i" --config "$dir/node$i/node.json"
	done
	if [ ! -f "$dir/created" ]; then
		create || die "namespace $namespace was not created"
		touch "$dir/created"
	fi
	await "answers on port $namespace_port" answers
	echo "ready: redis-cli -p $namespace_port (namespace $namespace; other nodes add 10 each), logs in $dir/*/log"
}

# create takes a namespace that an interrupted start has made already for what it wants.
create() {
	local out
	if out=$("$zankv" namespace create --etcd "http://127.0.0.1:$etcd_port" --cluster-id "$cluster_id" --name "$namespace" \
		--partitions "$partitions" --replicas "$replicas" --min-nodes "$nodes" --wait "${wait_seconds}s" 2>&1); then
		return
	fi
	echo "$out" >&2
	[[ $out == *"exists already"* ]]
}

# end NAME... asks the processes to end, all at once, and waits for them.
end() {
	local name limit=$((SECONDS + 60))
	for name in "$@"; do
		if running "$name"; then kill -TERM "$(<"$dir/$name/pid")" 2>/dev/null || true; fi
	done
	for name in "$@"; do
		while running "$name"; do
			[ $SECONDS -lt $limit ] || die "$name (pid $(<"$dir/$name/pid")) doesn't end, see $dir/$name/log"
			sleep 0.1
		done
		rm -f "$dir/$name/pid"
	done
}

# stop ends the nodes before etcd, as they tell it that they go.
stop() {
	local list
	mapfile -t list < <(names)
	end "${list[@]:1}"
	end etcd
}

status() {
	local name failed=0 i answer
	for name in $(names); do
		if running "$name"; then
			echo "$name: pid $(<"$dir/$name/pid")"
		else
			echo "$name: not running"
			failed=1
		fi
	done
	for ((i = 0; i < nodes; i++)); do
		answer=$(ask $((namespace_port + 10 * i)) DBSIZE || echo "no answer")
		echo "port $((namespace_port + 10 * i)): DBSIZE $answer"
		[[ $answer == :* ]] || failed=1
	done
	return $failed
}

case $command in
start | stop | status)
	parse "$@"
	if [ -d "$dir" ]; then dir=$(cd "$dir" && pwd); fi
	"$command"
	;;
-h | --help | help | "")
	usage
	;;
*)
	usage >&2
	die "unknown command $command"
	;;
esac
