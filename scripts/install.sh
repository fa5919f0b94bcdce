# For other scripts: installs packages of Debian or Ubuntu.
install() {
    local sudo=""
    if [[ "$(id -u)" != 0 ]]; then sudo=sudo; fi
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq --no-install-recommends "$@"
}
