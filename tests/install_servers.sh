#!/bin/sh
# Installs the Debian packages whose programs some tests run for real: make test-servers.
# usage: install_servers.sh PACKAGE…
set -eu

missing=""
for package in "$@"; do
    # `ok installed` is dpkg's word for a package that is there whole.
    case $(dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null || true) in
        *"ok installed") ;;
        *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "These tests need the programs of Debian's packages$missing; install them as your system does it." >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "Installing$missing takes root: run \"sudo apt-get install$missing\", then make test-servers again." >&2
    exit 1
fi
echo "Installing$missing" >&2
# No service of theirs is started: the tests start their own, on ports that are free.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086  # a list of words
apt-get install -y -qq --no-install-recommends $missing >&2
