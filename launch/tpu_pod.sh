#!/usr/bin/env bash
# A TPU pod slice, one process a host, from a machine with gcloud:
#
#   export TPU_NAME=my-v4-32 ZONE=us-central2-b
#   launch/tpu_pod.sh setup                  # the last commit to all hosts, and its requirements
#   launch/tpu_pod.sh run --config configs/joint.py:vr_market1501 --workdir gs://BUCKET/runs/joint [more flags]
#   launch/tpu_pod.sh stop                   # all hosts save and end; `run` with the same flags goes on
#
#   TPU_NAME     of the slice
#   ZONE         it is in
#   PROJECT      gcloud's own by default
#   PYTHON       of the hosts, 3.11 or newer; python3
#   REQUIREMENTS more to install; gcsfs and google-cloud-storage, for a work directory on gs://
#
# The work directory must be one that all hosts see: an object store, or a mounted file share. Built data sets
# (--config.data.dir) may be on every host's own disk: every host builds the same bytes.
# `run` lasts as long as the connection does: start it in tmux.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

: "${TPU_NAME:?is not set, expected the name of a TPU slice}"
: "${ZONE:?is not set, expected the zone that it is in}"
where=("--zone=$ZONE")
if [[ -n ${PROJECT:-} ]]; then
  where+=("--project=$PROJECT")
fi

on() { # HOST COMMAND: runs a command on one host, or on `all`
  gcloud compute tpus tpu-vm ssh "$TPU_NAME" "${where[@]}" --worker="$1" --command="$2"
}

case ${1:-} in
  setup)
    archive=$(mktemp --suffix=.tar.gz)
    trap 'rm -f "$archive"' EXIT
    git archive --format=tar.gz --output="$archive" HEAD
    gcloud compute tpus tpu-vm scp "$archive" "$TPU_NAME:rireid_jax.tar.gz" "${where[@]}" --worker=all
    on all "set -e
      mkdir -p rireid_jax && tar -xzf rireid_jax.tar.gz -C rireid_jax && cd rireid_jax
      test -x .venv/bin/python || ${PYTHON:-python3} -m venv .venv
      .venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[tpu]'
      .venv/bin/python -m pip install --quiet ${REQUIREMENTS:-gcsfs google-cloud-storage}"
    ;;
  run)
    shift
    on all "cd rireid_jax && echo \$\$ > run.pid &&
      exec .venv/bin/python -u -m rireid_jax.main --distributed$(printf ' %q' "$@")"
    ;;
  stop)
    on 0 "kill -TERM \$(cat rireid_jax/run.pid)" # one is enough
    ;;
  *)
    echo "$0: found '${1:-}', expected setup, run or stop" >&2
    exit 2
    ;;
esac
