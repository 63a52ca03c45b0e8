#!/bin/sh
# ---
# id: restart-service
# title: Restart a service and wait until it is active
# description: >
#   Restarts one systemd service, waits for it to become active, and shows its
#   last lines of log if it does not.
# interpreter: /bin/sh
# os: [linux]
# timeout: 2m
# run_as: root
# parameters:
#   - name: service
#     description: the name of the service, such as nginx
#     pattern: '[A-Za-z0-9@_.-]{1,64}'
#     required: true
#   - name: wait
#     description: how many seconds it may take to become active
#     type: int
#     pattern: '[1-9][0-9]{0,2}'
#     default: 30
# ---
set -eu

systemctl restart -- "$PARAM_SERVICE"
left=$PARAM_WAIT
until systemctl is-active --quiet -- "$PARAM_SERVICE"; do
    if [ "$left" -eq 0 ]; then
        echo "$PARAM_SERVICE is not active after $PARAM_WAIT s" >&2
        journalctl --no-pager -n 20 -u "$PARAM_SERVICE" >&2
        exit 1
    fi
    left=$((left - 1))
    sleep 1
done
echo "$PARAM_SERVICE is active"
