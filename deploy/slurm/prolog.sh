#!/bin/sh
# Slurm's Prolog (as root, on each node of a job): a mount for the job's user, with a cache on the
# node's own disk. A job is not started on an empty directory: a failure here drains the node.
set -eu
scratch="${CADC_SCRATCH:-/scratch}/cadcfs-$SLURM_JOB_ID"
install -d -o "$SLURM_JOB_USER" -m 0700 "$scratch" "$scratch/cache" "$scratch/cadc"
runuser -u "$SLURM_JOB_USER" -- cadcfs mount --cache-dir "$scratch/cache" "$scratch/cadc"
