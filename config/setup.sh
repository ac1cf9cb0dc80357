#!/bin/sh
# Makes .venv from the pinned, hashed lock file named in $1 and installs this folder into it, editable.
# Called by the Makefile; ends with one sentence when something of the machine is missing.
set -u
lock=$1
log=.venv/setup.log

fail() {
    echo "make setup: $1" >&2
    exit 1
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

make_environment() {
    python=$(find_python)
    [ -n "$python" ] || fail "Python 3.11 or newer is needed${PYTHON:+ and $PYTHON is not that}; install it, or name it with PYTHON=/path/to/python3."
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "this Python ($python) has no venv module; on Debian and Ubuntu install the package python3-venv."
    rm -rf .venv 2>/dev/null
    "$python" -m venv .venv || fail "cannot create the folder .venv in $(pwd)."
    # The editable install and the console script hold this path; a copied or moved clone starts afresh.
    pwd >.venv/.root
}

install() {
    .venv/bin/python -m pip --disable-pip-version-check install --quiet --retries 2 "$@" >>"$log" 2>&1 && return
    tail -n 5 "$log" >&2
    if grep -qE 'NewConnectionError|Max retries exceeded|ConnectTimeout|ReadTimeout|name resolution|ProxyError|Connection aborted' "$log"; then
        fail "the packages cannot be fetched: the package index is not reachable (all messages are in $log)."
    fi
    fail "the packages cannot be installed (all messages are in $log)."
}

if [ -e .venv ] && [ ! -w .venv ]; then
    fail "the folder .venv belongs to another user; remove it or work in a clone of your own."
fi
if [ "$(cat .venv/.root 2>/dev/null)" != "$(pwd)" ] || ! .venv/bin/python -c '' 2>/dev/null; then
    make_environment
fi
echo "Installing the packages of $lock …" >&2
: >"$log"
install --only-binary :all: --require-hashes -r "$lock"
install --no-deps --no-build-isolation --no-index -e .
# pyright does not follow the editable install's finder; through this link it finds `strongroom` (see pyproject.toml).
mkdir -p .venv/root && ln -sfn ../.. .venv/root/strongroom
