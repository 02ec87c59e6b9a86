#!/usr/bin/env bash
# Speaks the texts of prompts.csv into ru/NAME.wav and en/NAME.wav beside it: 8 kHz, 16 bit, one channel, no silence at
# the ends, about -16 dBFS on average and -3 dBFS at most. Usage: make.sh [NAME…]; without names all are made.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

missing=()
for program in espeak-ng sox; do
  command -v "$program" >/dev/null || missing+=("$program")
done
if ((${#missing[@]})); then
  echo "make.sh: not found: ${missing[*]}; install: apt-get install ${missing[*]}" >&2
  exit 1
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

rms() { # rms FILE: its mean level in dBFS
  sox "$1" -n stats 2>&1 | awk '/^RMS lev dB/ { print $4 }'
}

say() { # say LANGUAGE NAME WORDS
  local gain=0 round
  espeak-ng -v "$1" -s 140 -w "$work/raw.wav" "$3"
  sox -D "$work/raw.wav" -r 8000 -c 1 -b 16 -e signed-integer "$work/trimmed.wav" \
    gain -h -3 highpass 120 silence 1 0.01 0.4% reverse silence 1 0.01 0.4% reverse
  cp "$work/trimmed.wav" "$1/$2.wav"
  # The limiter keeps peaks below 0 dBFS and takes from the mean level too, hence more than one round.
  for round in 1 2 3; do
    gain="$(awk -v gain="$gain" -v rms="$(rms "$1/$2.wav")" 'BEGIN { printf "%.2f", gain - 16 - rms }')"
    sox -D "$work/trimmed.wav" -b 16 "$1/$2.wav" gain -l "$gain" gain -3.1 fade t 0.005 0 0.01
  done
}

mkdir -p ru en
made=0
{
  read -r _
  while IFS=';' read -r name ru en; do
    if (($# == 0)) || [[ " $* " == *" $name "* ]]; then
      say ru "$name" "$ru"
      say en "$name" "$en"
      made=$((made + 1))
    fi
  done
} <prompts.csv
if ((made == 0)); then
  echo "make.sh: prompts.csv names none of: $*" >&2
  exit 1
fi
echo "$made prompts made, $(du -cb ru/*.wav en/*.wav | awk 'END { print $1 }') bytes in all"
