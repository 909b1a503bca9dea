#!/usr/bin/env bash
# One machine, several processes: PROCESSES=2 launch/local.sh --config configs/joint.py [more flags]
#
# One process uses all devices of its machine, so this is for trying what a cluster does, and for machines with so many
# GPUs that one process cannot feed them.
#
#   PROCESSES            how many; 2
#   DEVICES_PER_PROCESS  GPUs of each, the first ones for the first process; 1. Without GPUs it changes nothing
#   PORT                 on which the first one listens; a free one
#   PYTHON               .venv/bin/python
#
# SIGTERM or Ctrl-C: all save once and end with status 0; the same command goes on, with any number of processes that
# the batch can be split over.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PROCESSES=${PROCESSES:-2}
DEVICES_PER_PROCESS=${DEVICES_PER_PROCESS:-1}
PYTHON=${PYTHON:-.venv/bin/python}
PORT=${PORT:-$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')}

set -m # process groups of their own: Ctrl-C reaches this script alone, which hands it on once
pids=()
for ((i = 0; i < PROCESSES; i++)); do
  first=$((i * DEVICES_PER_PROCESS))
  JAX_LOCAL_DEVICE_IDS=$(seq -s, "$first" $((first + DEVICES_PER_PROCESS - 1))) \
    "$PYTHON" -m rireid_jax.main --coordinator="localhost:$PORT" --num_processes="$PROCESSES" \
    --process_id="$i" "$@" &
  pids+=("$!")
done

signalled=
trap 'signalled=1; kill -TERM "${pids[@]}" 2>/dev/null || true' TERM INT

status=0
for pid in "${pids[@]}"; do
  while true; do
    signalled=
    code=0
    wait "$pid" || code=$?
    [[ -n $signalled ]] || break # a signal has cut `wait` short
  done
  ((status != 0)) || status=$code
done
exit "$status"
