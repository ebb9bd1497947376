#!/bin/sh
# Installed as /opt/shadowgate/python. Finds out once which release is the current one, so that a process
# and its children stay with their own files while another release takes its place.
release=$(readlink -f /opt/shadowgate/current) || exit 2
exec "$release/bin/python" "$@"
