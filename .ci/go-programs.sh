# The frame of the scripts that build programs from the Go module proxy. A script sources this file, calls `begin`, builds into `$out`, and calls `finish`.
# Everything that is printed in between goes to standard error. The script prints one line, the directory that holds its programs.
#
# The directory is outside the checkout and named after a hash of all inputs, so that nothing is built twice. Each script has one of its own: a change
# of one script does not rebuild the programs of the others.

export PATH="$PATH:/usr/local/go/bin"
# The installed Go, or an error: a toolchain is not downloaded.
export GOTOOLCHAIN=local GOFLAGS="-p=2 -buildvcs=false" CGO_ENABLED=0

# begin PROGRAMS PREFIX INPUT...
# Sets `out`, the directory for the programs, and `work`, one that is removed at the end. If the programs are built already, prints `out` and exits.
# PROGRAMS are named in the error if Go is missing. The name of the directory begins with PREFIX. Each INPUT is a file that determines the programs.
begin() {
    local programs=$1 prefix=$2 key
    shift 2
    command -v go >/dev/null || { echo "Go is not installed, so $programs cannot be built" >&2; exit 1; }
    key=$prefix$({ cat "$@"; echo "$GOTOOLCHAIN $GOFLAGS $CGO_ENABLED"; go version; } | sha256sum | cut -c1-12)
    out=${POSTMETER_CI_CACHE:-$HOME/.cache/postmeter-ci}/$key
    if [ -e "$out/complete" ]; then
        echo "$out"
        exit 0
    fi
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$out"
    exec 3>&1 >&2
}

# Marks the programs as complete, and prints their directory.
finish() {
    touch "$out/complete"
    echo "$out" >&3
}
