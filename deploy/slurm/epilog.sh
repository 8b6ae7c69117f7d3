#!/bin/sh
# Slurm's Epilog (as root, on each node of a job): nothing of the mount stays. --one-file-system: a
# mount that would not go is never walked into.
set -u
scratch="${CADC_SCRATCH:-/scratch}/cadcfs-$SLURM_JOB_ID"
[ -d "$scratch" ] || exit 0
runuser -u "$SLURM_JOB_USER" -- cadcfs umount --lazy "$scratch/cadc" || umount --lazy "$scratch/cadc"
rm -rf --one-file-system "$scratch"
