#!/bin/sh
# What the socket proxy's own program of this name asks: whether it listens.
exec wget -q -O /dev/null http://127.0.0.1:2375/version
