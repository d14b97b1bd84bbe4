#!/usr/bin/env bash
# What one proxied request costs in CPU: brunt's balancer beside HAProxy and nginx.
#
# Every proxy has one thread, is pinned to one core (PROXY_CORE), forwards to the same nginx that
# answers 12 bytes, and gets the same load from wrk (both on LOAD_CORE). Rounds are interleaved, so
# that a disturbance of the machine hits all three. Requests are wrk's, CPU is the proxy's own
# (/proc/PID/task/*/schedstat). Prints a Markdown table of medians. Only loopback is used.
#
#   cargo build --release && benches/peers/balancer.sh
#
# ROUNDS (5), SECONDS_EACH (4), CONNECTIONS (64), BRUNT (target/release/brunt), PROXY_CORE (0), LOAD_CORE (1)
set -euo pipefail
cd "$(dirname "$0")/../.."

rounds=${ROUNDS:-5} seconds=${SECONDS_EACH:-4} connections=${CONNECTIONS:-64}
brunt=$(realpath "${BRUNT:-target/release/brunt}")
proxy_core=${PROXY_CORE:-0} load_core=${LOAD_CORE:-1}
host=127.88.0.1 upstream=18080 haproxy_port=18081 nginx_port=18082 brunt_port=18083 admin_port=18084
work=$(mktemp -d)
started=()

stop_all() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap stop_all EXIT

install_peers() {
    for tool in wrk haproxy nginx; do
        PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null && continue
        # A package's service must not start by itself.
        RUNLEVEL=1 apt-get install -y --no-install-recommends "$tool" >&2
    done
    PATH=$PATH:/usr/sbin
}

on() { taskset -c "$1" "${@:2}" >>"$work/log" 2>&1 & started+=($!); }

nginx_conf() { # file, port, location
    cat >"$work/$1" <<CONF
daemon off; master_process off; worker_processes 1; pid $work/$1.pid; error_log $work/$1.log;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path $work/$1.b; proxy_temp_path $work/$1.p; fastcgi_temp_path $work/$1.f;
  uwsgi_temp_path $work/$1.u; scgi_temp_path $work/$1.s;
  upstream member { server $host:$upstream; keepalive 256; keepalive_requests 1000000000; }
  server { listen $host:$2 backlog=4096; location / { $3 } } }
CONF
}

start_upstream() {
    nginx_conf origin "$upstream" "default_type text/plain; return 200 'hello world
';"
    on "$load_core" nginx -c "$work/origin"
}

start_nginx() {
    nginx_conf proxy "$nginx_port" "proxy_pass http://member; proxy_http_version 1.1; proxy_set_header Connection '';
      proxy_set_header X-Forwarded-For \$remote_addr;"
    on "$proxy_core" nginx -c "$work/proxy"
    nginx_pid=$!
}

start_haproxy() {
    cat >"$work/haproxy" <<CONF
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  http-reuse always
  option forwardfor
frontend entry
  bind $host:$haproxy_port
  default_backend members
backend members
  balance leastconn
  server one $host:$upstream
CONF
    on "$proxy_core" haproxy -db -f "$work/haproxy"
    haproxy_pid=$!
}

start_brunt() {
    cat >"$work/plan.json" <<PLAN
{"name":"balancer-1","role":"balancer","server":"balancer","region":"","listen":"$host:$brunt_port",
 "admin":"$host:$admin_port","peers":[{"name":"app-1","role":"app","region":"","dial":"$host:$upstream",
 "dial_admin":"$host:$upstream"}],"data_folder":null,"threads":1,"iterations_per_ms":1.0,"seed":1,
 "settings":{"balancer":{"heartbeat":"5s"}}}
PLAN
    taskset -c "$proxy_core" "$brunt" serve balancer <"$work/plan.json" >>"$work/log" 2>&1 &
    brunt_pid=$!
    started+=("$brunt_pid")
    heartbeats &
    started+=($!)
}

heartbeats() {
    local body='{"name":"app-1","in_flight":0,"draining":false}'
    while kill -0 "$brunt_pid" 2>/dev/null; do
        printf 'POST /heartbeat HTTP/1.1\r\nHost: b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' \
            "${#body}" "$body" 2>/dev/null >"/dev/tcp/$host/$admin_port" || true
        sleep 0.2
    done 2>/dev/null
}

wait_for() { # port
    for _ in $(seq 100); do
        if [[ $(ask "$1") == *" 200 "* ]]; then return; fi
        sleep 0.05
    done
    echo "no answer from port $1; see below" >&2
    cat "$work/log" >&2
    exit 1
}

ask() {
    exec 3<>"/dev/tcp/$host/$1" || return 0
    printf 'GET / HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n' >&3
    head -1 <&3 || true
    exec 3>&-
} 2>/dev/null

cpu_ns() { cat /proc/"$1"/task/*/schedstat | awk '{sum += $1} END {printf "%.0f", sum}'; }

round() { # name, pid, port
    local before after requests
    before=$(cpu_ns "$2")
    taskset -c "$load_core" wrk -t1 -c"$connections" -d"${seconds}s" --latency "http://$host:$3/" >"$work/wrk"
    after=$(cpu_ns "$2")
    if grep -q 'Non-2xx\|Socket errors' "$work/wrk"; then
        echo "$1 answered with errors: $(grep 'Non-2xx\|Socket errors' "$work/wrk")" >&2
    fi
    requests=$(awk '/requests in/ {print $1}' "$work/wrk")
    awk -v name="$1" -v n="$requests" -v ns="$((after - before))" \
        '/Requests\/sec/ {rate = $2} $1 == "50%" {p50 = $2} $1 == "99%" {p99 = $2}
         END {printf "%s %.0f %.0f %.2f %s %s\n", name, n / (ns / 1e9), rate, ns / 1e3 / n, p50, p99}' \
        "$work/wrk" | tee -a "$work/results" >&2
}

median() { # name, column
    awk -v name="$1" -v column="$2" '$1 == name {print $column}' "$work/results" | sort -g |
        awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}

table() {
    local base
    base=$(median haproxy 2)
    echo "| proxy | requests per CPU-second | × HAProxy | requests/s | µs CPU per request |"
    echo "| --- | ---: | ---: | ---: | ---: |"
    for name in haproxy nginx brunt; do
        echo "| $name | $(median $name 2) | $(awk -v a="$(median $name 2)" -v b="$base" 'BEGIN {printf "%.2f", a / b}') | $(median $name 3) | $(median $name 4) |"
    done
    echo
    echo "medians of $rounds interleaved rounds of $seconds s; $connections connections, one core a proxy, 12-byte answers"
}

install_peers
start_upstream
start_nginx
start_haproxy
start_brunt
for port in $upstream $nginx_port $haproxy_port $brunt_port; do wait_for "$port"; done
for _ in $(seq "$rounds"); do
    round haproxy "$haproxy_pid" "$haproxy_port"
    round nginx "$nginx_pid" "$nginx_port"
    round brunt "$brunt_pid" "$brunt_port"
done
table
