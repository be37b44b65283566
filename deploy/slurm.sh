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
# A minute before the time is up, training gets SIGTERM: it writes a checkpoint, and
# the next submission resumes from it.
#SBATCH --signal=TERM@60
set -euo pipefail

source .venv/bin/activate
export ALEXNET_CHECKPOINTS="$PWD/.checkpoints"
first_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

exec srun torchrun \
    --nnodes "$SLURM_JOB_NUM_NODES" \
    --nproc-per-node "${SLURM_GPUS_ON_NODE:-1}" \
    --rdzv-id "$SLURM_JOB_ID" \
    --rdzv-backend c10d \
    --rdzv-endpoint "$first_node:29500" \
    -m stages.train
