#!/bin/sh
# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# A host's way up, as process 1 of its own namespaces: its file system over the base, then systemd.
# usage: boot.sh NAME BASE DIRECTORY; DIRECTORY has upper, work, root, and binds: lines SOURCE TARGET, TARGET without /
set -eu
name=$1 base=$2 here=$3
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$base,upperdir=$here/upper,workdir=$here/work" "$here/root"
cd "$here/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
# systemd refuses to read its units again with less than 16 MB free here
mount -t tmpfs -o mode=755,size=64m tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  : > "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
while read -r source target; do
  mkdir -p "$target"
  mount --bind "$source" "$target"
done < "$here/binds"
hostname "$name"
pivot_root . mnt
cd /
umount -l /mnt
exec env -i container=lxc PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --log-target=journal --show-status=no
