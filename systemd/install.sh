#!/usr/bin/env bash
# Installs shadowgate as a service of this machine, brings it up to date, or removes it. See --help.
set -euo pipefail

readonly HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
readonly SOURCE=$(dirname "$HERE")
readonly APP=/opt/shadowgate
readonly STATE=/var/lib/shadowgate
readonly CACHE=/var/cache/shadowgate
readonly RUN=/run/shadowgate
readonly UNITS=/etc/systemd/system
readonly TMPFILES=/etc/tmpfiles.d/shadowgate.conf
readonly COMMAND=/usr/local/bin/shadowgate
readonly PUSH_DROP_IN=$UNITS/shadowgate.service.d/push.conf
readonly ACCOUNT=shadowgate
release='' # the one being made
readonly UNIT_FILES=(shadowgate.service shadowgate.socket shadowgate-retrain.service
    shadowgate-report.service shadowgate-report.timer
    shadowgate-retention.service shadowgate-retention.timer)

usage() {
    cat <<'END'
usage: systemd/install.sh [OPTION...]        as root, from a checkout

Installs, or brings an installation up to date: data, .env and drop-ins stay as they are.

  --push            the bot pushes its bars: the service gets no network
  --with-training   train on this machine, too, by schedule, in a unit of its own
  --with-onnx       what bundles with networks need
  --allow USER      let USER, such as the bot's, ask on the socket
  --wheels DIR      take packages from DIR, and nothing from a network
  --python PROGRAM  Python 3.11 to 3.13 (default: the first of python3.13, 3.12, 3.11, python3)
  --no-start        enable nothing and start nothing

  --uninstall       remove all of it but the data, which become root's
  --purge           remove all of it, with data, models and .env
  --help

What is where: /opt/shadowgate (the program), /var/lib/shadowgate (.env, models, records, candles),
/var/cache/shadowgate (machine code), /run/shadowgate/plugin.sock, /usr/local/bin/shadowgate.
END
}

fail() {
    echo "install.sh: $1" >&2
    exit "${2:-1}"
}

say() {
    echo "install.sh: $*"
}

main() {
    local action=install push='' training='' onnx='' wheels='' python='' start=yes
    local allowed=()
    while (($#)); do
        case $1 in
            --push) push=yes ;;
            --with-training) training=yes ;;
            --with-onnx) onnx=yes ;;
            --allow | --wheels | --python)
                (($# > 1)) || fail "expected a value behind $1" 2
                case $1 in
                    --allow) allowed+=("$2") ;;
                    --wheels) wheels=$2 ;;
                    --python) python=$2 ;;
                esac
                shift
                ;;
            --no-start) start='' ;;
            --uninstall | --purge) action=${1#--} ;;
            -h | --help) usage; return ;;
            *) fail "expected an option of --help, was $1" 2 ;;
        esac
        shift
    done
    ((EUID == 0)) || fail "expected root, was $(id -un): use sudo" 2
    [[ -d /run/systemd/system ]] || fail "expected a machine that systemd has started" 2
    umask 022
    exec 9<"$UNITS"
    flock --nonblock 9 || fail "another one is at work"
    case $action in
        install) set_up ;;
        uninstall) remove ;;
        purge) remove_with_data ;;
    esac
}

# --- install ----------------------------------------------------------------------------------------------

set_up() {
    local before
    check_wheels
    choose_python
    check_users
    before=$(readlink -f "$APP/current" || true)
    release=$APP/releases/$(date --utc +%Y%m%dT%H%M%S.%N)
    make_account
    trap 'rm -rf "$release"' EXIT # half a release is none
    build
    compile_kernels
    place_files
    place_settings
    trap - EXIT
    switch_from "$before"
    remove_other_releases
    tell
}

check_wheels() {
    [[ -z $wheels || -d $wheels ]] || fail "expected a folder of wheels, was $wheels" 2
}

# The service sees neither /home nor /root, and the interpreter must not be another user's to change.
choose_python() {
    local name real
    for name in ${python:-python3.13 python3.12 python3.11 python3}; do
        real=$(readlink -f "$(command -v "$name" || true)") || continue
        [[ -x $real && -O $real && ! $real =~ ^/(root|home|run/user|tmp|var/tmp)/ ]] || continue
        "$real" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || continue
        "$real" -c 'import ensurepip, venv' 2>/dev/null || continue
        python=$real
        return
    done
    fail "expected Python 3.11 to 3.13 with venv, root's own, outside of /home, /root and /tmp, was none:
    install python3 and python3-venv, or name one with --python" 2
}

check_users() {
    local user
    for user in "${allowed[@]}"; do
        getent passwd "$user" >/dev/null || fail "expected a user for --allow, was $user" 2
    done
}

make_account() {
    local user
    if ! getent passwd "$ACCOUNT" >/dev/null; then
        useradd --system --user-group --no-create-home --home-dir /nonexistent \
            --shell /usr/sbin/nologin "$ACCOUNT"
    fi
    for user in "${allowed[@]}"; do
        usermod --append --groups "$ACCOUNT" "$user"
    done
    # What an --uninstall has left became root's.
    mkdir -p "$STATE" "$CACHE"
    chown --recursive --no-dereference "$ACCOUNT:$ACCOUNT" "$STATE" "$CACHE"
    chmod 0700 "$STATE" "$CACHE"
}

# The program whole, in a folder of its own, while an older one may be running. Every package is one whose
# hash stands in the requirement file; none is built here.
build() {
    local package packages
    local pip=("$release/bin/python" -m pip --quiet --disable-pip-version-check --no-input install
        --require-hashes --only-binary :all: --no-cache-dir --no-deps)
    [[ -z $wheels ]] || pip+=(--no-index --find-links "$wheels")
    pip+=(--requirement "$HERE/requirements.txt")
    [[ -z $training ]] || pip+=(--requirement "$HERE/requirements-training.txt")
    [[ -z $onnx ]] || pip+=(--requirement "$HERE/requirements-onnx.txt")
    say "building $release with $python"
    mkdir -p "$release"
    "$python" -m venv "$release"
    "${pip[@]}"
    "$release/bin/python" -m pip --disable-pip-version-check check >/dev/null
    packages=$("$release/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    for package in plugin shadow gates training; do
        cp -R "$SOURCE/$package" "$packages/"
        find "$packages/$package" -name __pycache__ -prune -exec rm -rf {} +
    done
    mark_version "$packages"
    "$release/bin/python" -m compileall -q "$packages"/{plugin,shadow,gates,training}
    mkdir "$release/share"
    cp -R "$SOURCE/docs" "$SOURCE/LICENSE" "$SOURCE/.env.example" "$release/share/"
    cp "$HERE/compile_kernels.py" "$release/share/"
    chown --recursive root:root "$release"
    chmod --recursive u=rwX,go=rX "$release"
}

# What `shadowgate status` gives as the version is that of an installed package.
mark_version() {
    local version
    version=$(sed -n 's/^version = //p' "$SOURCE/setup.cfg")
    mkdir "$1/shadowgate-$version.dist-info"
    printf 'Metadata-Version: 2.1\nName: shadowgate\nVersion: %s\n' "$version" \
        >"$1/shadowgate-$version.dist-info/METADATA"
    echo install.sh >"$1/shadowgate-$version.dist-info/INSTALLER"
}

# As the user, with the paths and on the processor of the service: otherwise it would compile once more.
compile_kernels() {
    say "compiling the kernels"
    (
        cd /
        umask 077
        setpriv --reuid="$ACCOUNT" --regid="$ACCOUNT" --init-groups --no-new-privs \
            env NUMBA_CACHE_DIR="$CACHE" PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1 \
            "$release/bin/python" "$release/share/compile_kernels.py" >/dev/null
    )
}

place_files() {
    local unit
    for unit in "${UNIT_FILES[@]}"; do
        replace "$HERE/$unit" "$UNITS/$unit" 0644
    done
    if [[ -n $push ]]; then
        replace "$HERE/push.conf" "$PUSH_DROP_IN" 0644
    else
        rm -f "$PUSH_DROP_IN"
    fi
    replace "$HERE/shadowgate.tmpfiles.conf" "$TMPFILES" 0644
    replace "$HERE/python.sh" "$APP/python" 0755
    replace "$HERE/shadowgate.sh" "$COMMAND" 0755
    systemd-tmpfiles --create "$TMPFILES"
}

# Whoever reads the target sees the old file or the new one.
replace() {
    mkdir -p "$(dirname "$2")"
    install --mode="$3" "$1" "$2.new"
    mv --force --no-target-directory "$2.new" "$2"
}

# Never touched again: an upgrade brings new flags with their defaults.
place_settings() {
    local source=ccxt
    [[ ! -e $STATE/.env ]] || return 0
    [[ -z $push ]] || source=socket
    sed -e "s|^ML_SOCKET=.*|ML_SOCKET=$RUN/plugin.sock|" -e "s|^ML_SOURCE=.*|ML_SOURCE=$source|" \
        "$SOURCE/.env.example" |
        install --mode=0600 --owner="$ACCOUNT" --group="$ACCOUNT" /dev/stdin "$STATE/.env"
}

# The new release takes the place of the old one; where it does not come up, the old one comes back.
switch_from() {
    local before=$1
    point_at "$release"
    systemctl daemon-reload
    [[ -n $start ]] || return 0
    systemctl --quiet enable shadowgate.socket shadowgate.service shadowgate-report.timer
    systemctl start shadowgate.socket shadowgate-report.timer
    if ! systemctl restart shadowgate.service; then
        journalctl --unit=shadowgate.service --lines=20 --output=cat --no-pager >&2 || true
        [[ -n $before && -d $before ]] || fail "shadowgate.service does not start: see above"
        point_at "$before"
        rm -rf "$release"
        systemctl restart shadowgate.service || true
        fail "shadowgate.service does not start with the new release: the old one is back"
    fi
    if [[ -n $training ]]; then
        systemctl --quiet enable shadowgate-retrain.service
        systemctl restart shadowgate-retrain.service
    else
        systemctl try-restart shadowgate-retrain.service
    fi
}

point_at() {
    ln --symbolic --force --no-dereference "$1" "$APP/current.new"
    mv --force --no-target-directory "$APP/current.new" "$APP/current"
}

remove_other_releases() {
    local other
    for other in "$APP"/releases/*; do
        [[ $other == "$release" ]] || rm -rf "$other"
    done
}

tell() {
    say "installed: $(readlink "$APP/current")"
    say "settings: $STATE/.env (shadowgate set KEY VALUE), state: shadowgate status"
    if [[ ! -e $STATE/models/champion ]]; then
        say "no bundle serves yet: shadowgate training install FILE, or train here (--with-training)"
    fi
}

# --- uninstall --------------------------------------------------------------------------------------------

remove() {
    local unit
    for unit in "${UNIT_FILES[@]}"; do
        if [[ -e $UNITS/$unit ]]; then
            systemctl --quiet disable --now "$unit" 2>/dev/null || systemctl stop "$unit" || true
        fi
    done
    for unit in "${UNIT_FILES[@]}"; do
        rm -f "$UNITS/$unit"
        systemctl reset-failed "$unit" 2>/dev/null || true
    done
    rm -f "$PUSH_DROP_IN" "$TMPFILES" "$COMMAND" /var/lib/systemd/timers/stamp-shadowgate-*.timer
    rmdir "$(dirname "$PUSH_DROP_IN")" 2>/dev/null || true
    systemctl daemon-reload
    rm -rf "$APP" "$CACHE" "$RUN"
    # The number of a user who is gone may become another one's, and with it the files.
    [[ ! -d $STATE ]] || chown --recursive --no-dereference root:root "$STATE"
    if getent passwd "$ACCOUNT" >/dev/null; then userdel "$ACCOUNT" 2>/dev/null; fi
    if getent group "$ACCOUNT" >/dev/null; then groupdel "$ACCOUNT"; fi # left where a bot is a member
    [[ ! -d $STATE ]] || say "the data are left, for root alone: $STATE"
    for unit in "$UNITS"/shadowgate*.d; do
        [[ ! -d $unit ]] || say "drop-ins of your own are left: $unit"
    done
}

remove_with_data() {
    remove >/dev/null
    rm -rf "$STATE" "$UNITS"/shadowgate{,-retrain,-report,-retention}.{service,socket,timer}.d
    systemctl daemon-reload
    say "all of it is gone"
}

# bash reads a script while it runs: nothing of a file that has changed meanwhile is looked at any more.
main "$@"; exit
