#!/usr/bin/env bash
# Slurm: sbatch [options of sbatch] launch/slurm.sh --config configs/joint.py:vr_market1501 [more flags]
#
# Starts one process a GPU. Submit it in the repository, on a file system that all nodes see; --workdir and
# --config.data.dir must lie on such a one too. What stands below can be overridden by sbatch's options, such as
# --nodes=4 --time=2-0; without GPUs: --gpus-per-node=0 --ntasks-per-node=1.
#
#   RIREID_HOME  the repository; where sbatch was called
#   PYTHON       .venv/bin/python in it
#
# Two minutes before the time limit all processes save and end. The same command goes on: submitted several times with
# --dependency=singleton, jobs of one name follow one another, and those that find the run finished score it and end.
#
#SBATCH --job-name=rireid_jax
#SBATCH --nodes=2
#SBATCH --gpus-per-node=4
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail
cd "${RIREID_HOME:-$SLURM_SUBMIT_DIR}"

# srun does not take this over from sbatch.
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"
# JAX finds out by Slurm's variables which process is which, where the first one listens, and which GPU is whose. If one
# dies, Slurm ends the others, and at once.
exec srun --kill-on-bad-exit=1 "${PYTHON:-.venv/bin/python}" -m rireid_jax.main --distributed "$@"
