# needs PROGRAM PACKAGE...
# Installs the packages if the program is missing. To be sourced.
needs() {
    command -v "$1" >/dev/null && return
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${@:2}" >/dev/null && command -v "$1" >/dev/null
}
