#!/usr/bin/env bash
# Training on several nodes of a Slurm cluster, from the project's folder on a file
# system that all nodes share:
#
#   sbatch deploy/slurm.sh
#
# docs/scaling.md says how DVC fits in.
#SBATCH --job-name=alexnet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# Two minutes before the time is up, this script gets the signal.
#SBATCH --signal=B:USR1@120
set -euo pipefail

if [[ ! -e .venv/bin/activate ]]; then
    echo "error: $PWD has no .venv; submit from the project's folder, after \`make .venv/.ready\`" >&2
    exit 1
fi
# shellcheck source=/dev/null
source .venv/bin/activate
export ALEXNET_CHECKPOINTS="$PWD/.checkpoints"
first_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 10000)) # jobs may share a node

# Training writes a checkpoint on SIGTERM, and the job resumes from it. (Slurm requeues by itself
# only after the failure of a node, or for a job of higher priority.)
requeue() {
    echo "slurm.sh: the time is nearly up"
    scancel --signal=TERM "$SLURM_JOB_ID" # its steps, not this script
    wait "$training" && exit
    scontrol requeue "$SLURM_JOB_ID"
    exit
}
trap requeue USR1

# srun has not taken over --cpus-per-task since Slurm 22.05. Where a task fails, the others end
# by themselves, after the checkpoint: Slurm must not kill them before.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=0 \
    torchrun \
    --nnodes "$SLURM_JOB_NUM_NODES" \
    --nproc-per-node "${SLURM_GPUS_ON_NODE:-1}" \
    --rdzv-id "$SLURM_JOB_ID" \
    --rdzv-backend c10d \
    --rdzv-endpoint "$first_node:$port" \
    -m stages.train &
training=$!
wait "$training"
