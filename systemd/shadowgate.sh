#!/bin/sh
# Installed as /usr/local/bin/shadowgate: the administrator's command. It runs as the user of the service,
# in the folder of its data, with nothing of the caller's environment but the terminal.
set -eu
usage() {
    cat <<'END'
usage: shadowgate COMMAND ...        as root, or as the user shadowgate

  status, set, health, reload ...    python -m plugin COMMAND
  report, dashboard, audit,
  ic, retention ...                  python -m shadow.report and so on
  gates COMMAND ...                  python -m gates COMMAND
  training COMMAND ...               python -m training COMMAND

Paths are seen from /var/lib/shadowgate. Each command has --help.
END
}

case "${1:-}" in
    '') usage >&2; exit 2 ;;
    -h | --help) usage; exit 0 ;;
    report | dashboard | audit | ic | retention) module=shadow.$1; shift ;;
    gates | training) module=$1; shift ;;
    *) module=plugin ;;
esac

as_user=
if [ "$(id -un)" != shadowgate ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "shadowgate: expected root or the user shadowgate, was $(id -un): use sudo" >&2
        exit 2
    fi
    as_user='setpriv --reuid=shadowgate --regid=shadowgate --init-groups --no-new-privs --bounding-set=-all'
    as_user="$as_user --inh-caps=-all"
fi
umask 077
cd /var/lib/shadowgate
# shellcheck disable=SC2086  # words of our own
exec $as_user env --ignore-environment PATH=/usr/bin:/bin LANG=C.UTF-8 TERM="${TERM:-dumb}" \
    ${COLUMNS:+COLUMNS="$COLUMNS"} NUMBA_CACHE_DIR=/var/cache/shadowgate PYTHONSAFEPATH=1 \
    PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1 ORT_DISABLE_TELEMETRY=1 OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 /opt/shadowgate/python -m "$module" "$@"
