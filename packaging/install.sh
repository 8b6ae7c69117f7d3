#!/bin/sh
# Installs cadcfs for everybody on a Debian-based machine, from the directory that this script is in.
#
#   sudo sh packaging/install.sh              into /opt/cadcfs, with mount(8) helpers
#   sudo sh packaging/install.sh --service    also the shared mount on /mnt/cadc
#   sudo sh packaging/install.sh --remove     takes all of that away; caches and settings stay
#
# Can be run again at any time, to upgrade or after it was interrupted.
set -eu

SOURCE=$(cd "$(dirname "$0")/.." && pwd)
HOME_OF_ALL=/opt/cadcfs
BIN=/usr/local/bin/cadcfs
MAN=/usr/local/share/man/man1
UNIT=/etc/systemd/system/cadcfs.service

say() { echo "install.sh: $*"; }

as_root() {
    [ "$(id -u)" = 0 ] || { say "only root may do this: sudo sh $0 $*" >&2; exit 1; }
}

remove() {
    if [ -e "$UNIT" ] && command -v systemctl > /dev/null; then
        systemctl disable --now cadcfs || true
    fi
    rm -rf "$UNIT" /etc/systemd/system/cadcfs.service.d /etc/sysusers.d/cadcfs.conf
    if [ -x "$BIN" ]; then "$BIN" install-helper --remove; fi
    rm -rf "$HOME_OF_ALL" "$BIN" "$MAN"/cadcfs.1 "$MAN"/cadcfs-*.1
    say "removed"
}

install_packages() {
    missing=""
    for package in fuse3 libfuse3-dev pkg-config gcc libc6-dev python3-dev python3-venv; do
        dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q "ok installed" ||
            missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        say "installing$missing"
        apt-get update -qq
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing \
            > /dev/null
    fi
}

install_cadcfs() {
    say "installing cadcfs into $HOME_OF_ALL"
    python3 -m venv "$HOME_OF_ALL"
    "$HOME_OF_ALL/bin/pip" install --quiet --disable-pip-version-check \
        -c "$SOURCE/requirements.lock" "${SOURCE}[demo,moc]"
    mkdir -p "$(dirname "$BIN")" "$MAN"
    ln -sf "$HOME_OF_ALL/bin/cadcfs" "$BIN"
    for page in "$HOME_OF_ALL"/share/man/man1/cadcfs*.1; do ln -sf "$page" "$MAN"; done
    "$BIN" install-helper
}

install_service() {
    if ! command -v systemctl > /dev/null || ! command -v systemd-sysusers > /dev/null; then
        say "there is no systemd here; see docs/howto/shared-server.md for fstab" >&2
        exit 1
    fi
    say "installing the service on /mnt/cadc"
    cp "$SOURCE/systemd/cadcfs.service" "$UNIT"
    mkdir -p /etc/sysusers.d
    cp "$SOURCE/systemd/cadcfs.sysusers" /etc/sysusers.d/cadcfs.conf
    systemd-sysusers
    if [ "$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')" -ge 254 ]; then
        cp -r "$SOURCE/systemd/cadcfs.service.d" /etc/systemd/system/
    fi
    grep -q '^user_allow_other' /etc/fuse.conf || echo user_allow_other >> /etc/fuse.conf
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        systemctl enable --now cadcfs
    else
        systemctl enable cadcfs
        say "systemd does not run here; the service starts at the next boot"
    fi
}

as_root "$@"
case "${1-}" in
    --remove) remove ;;
    --service) install_packages; install_cadcfs; install_service ;;
    "") install_packages; install_cadcfs ;;
    *) say "unknown: $1; see the head of this file" >&2; exit 2 ;;
esac
