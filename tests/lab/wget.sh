#!/bin/sh
# Debian 12's busybox ends with a fault where wget is told a time-out (-T seconds): the option is taken away here, and
# the engine ends a probe that takes too long.
count=$#
while [ "$count" -gt 0 ]; do
    argument=$1
    shift
    count=$((count - 1))
    if [ "$argument" = -T ]; then
        shift
        count=$((count - 1))
    else
        set -- "$@" "$argument"
    fi
done
exec busybox wget "$@"
