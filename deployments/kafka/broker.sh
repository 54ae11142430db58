#!/usr/bin/env bash
# Runs one Kafka broker, its own controller, on 127.0.0.1, in the foreground. install.sh must have been run.
#
#   deployments/kafka/broker.sh [option value]...
#     --dir DIR              where it keeps everything (data/kafka)
#     --log-dir LOGS         where it keeps topics and metadata (DIR/log)
#     --port N               for clients (9092)
#     --controller-port N    between broker and controller (9093)
#     --internal-port N      for itself: always PLAINTEXT, whatever clients speak (9094)
#     --protocol P           what clients speak: PLAINTEXT (default), SSL, SASL_PLAINTEXT, SASL_SSL
#     --properties FILE      further settings, which win over those below; certificates and SASL's mechanisms are set here
#     --scram M=[name=U,password=P]  a user of SCRAM-SHA-256 or SCRAM-SHA-512, made with new LOGS only; may be repeated
#     --heap SIZE            Java's heap (512m)
#     --lifetime L           long (default), or short: compiles less, for a broker that lives for a test
#     --keep-classes FILE    at its end, keep there what Java loaded, so that later starts are quicker; install.sh does
#
# New LOGS are formatted first. SIGTERM ends it in order; they take kill -9 as well.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=data/kafka log_dir= port=9092 controller_port=9093 internal_port=9094 protocol=PLAINTEXT properties= heap=512m lifetime=long keep=
scram=()

usage() {
  sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || usage
  case $1 in
    --dir) dir=$2 ;;
    --log-dir) log_dir=$2 ;;
    --port) port=$2 ;;
    --controller-port) controller_port=$2 ;;
    --internal-port) internal_port=$2 ;;
    --protocol) protocol=$2 ;;
    --properties) properties=$2 ;;
    --scram) scram+=(--add-scram "$2") ;;
    --heap) heap=$2 ;;
    --lifetime) lifetime=$2 ;;
    --keep-classes) keep=$2 ;;
    *) usage ;;
  esac
  shift 2
done

case $lifetime in long | short) ;; *) usage ;; esac

home=$("$here/install.sh" --where) || { echo "kafka: the broker isn't installed: \`make deps-test\` installs what tests need" >&2; exit 1; }
command -v java > /dev/null || { echo "kafka: no java: \`make deps-test\` installs it" >&2; exit 1; }

umask 077 # passwords stand in the settings
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
log_dir=${log_dir:-$dir/log}

# One node holds every replica, so that Kafka's own topics have one; few partitions, so that it starts soon. A session ends
# within seconds, because a broker that was killed can't register again before.
cat > "$dir/server.properties" << EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller_port
controller.listener.names=CONTROLLER
listeners=CLIENT://127.0.0.1:$port,INTERNAL://127.0.0.1:$internal_port,CONTROLLER://127.0.0.1:$controller_port
advertised.listeners=CLIENT://127.0.0.1:$port,INTERNAL://127.0.0.1:$internal_port
listener.security.protocol.map=CLIENT:$protocol,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=INTERNAL
log.dirs=$log_dir
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2500
broker.heartbeat.interval.ms=500
EOF
[ -z "$properties" ] || cat "$properties" >> "$dir/server.properties"

short=(-XX:TieredStopAtLevel=1 -XX:+UseSerialGC)
[ "$lifetime" = short ] && flags=("${short[@]}") || flags=(-XX:+UseG1GC)
[ -z "$keep" ] || flags+=(-XX:ArchiveClassesAtExit="$keep")

# run executes one of Kafka's programs: Java's options, its name and its arguments.
run() {
  local jars=("$home"/lib/*.jar) kept=()
  [ ! -e "$home/classes.jsa" ] || kept=(-XX:SharedArchiveFile="$home/classes.jsa" -Xlog:disable -Xlog:all=error:stderr)
  exec java "-Xmx$heap" "${kept[@]}" -Dlog4j2.configurationFile="$here/log4j2.xml" -cp "$(IFS=:; echo "${jars[*]}")" "$@"
}

# Kafka writes meta.properties last.
if [ ! -e "$log_dir/meta.properties" ]; then
  id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d =)
  (run "${short[@]}" kafka.tools.StorageTool format --ignore-formatted --cluster-id="$id" \
    --config "$dir/server.properties" "${scram[@]}") > "$dir/format" 2>&1 ||
    { cat "$dir/format" >&2; echo "kafka: can't format $log_dir" >&2; exit 1; }
fi
run "${flags[@]}" kafka.Kafka "$dir/server.properties"
