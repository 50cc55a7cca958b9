#!/usr/bin/env bash
# Check a published log with openssl, sha256sum and xxd alone:
#
#   check_log.sh checkpoint VKEY CHECKPOINT       the signature
#   check_log.sh proof VKEY PROOF ENTRY           that one entry stands in the log, from `countersign proof`
#   check_log.sh tree VKEY LOG                    that the hash tiles lead to the signed root
#   check_log.sh since VKEY LOG CHECKPOINT        the same, and that the log extends an older checkpoint
#   check_log.sh entries VKEY LOG [FROM [TO]]     that the entries of bundles FROM to TO hash to their tiles; default: all
#   check_log.sh entry VKEY LOG N                 print entry N, once its bundle was checked
#
# VKEY is the line in log.vkey, LOG a copy of the log (`checkpoint`, `tile/`). `tree` and `entries` together check everything.
# Forms: C2SP signed-note, tlog-checkpoint, tlog-tiles and tlog-proof; hashes as in RFC 6962.
set -euo pipefail
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "NOT VERIFIED: $*" >&2; exit 1; }
unbase64() { openssl base64 -d -A; }
hex() { xxd -p "$@" | tr -d '\n'; }
sha256() { sha256sum "$@" | cut -c 1-64; }
hash_of() { xxd -r -p | sha256sum | cut -c 1-64; } # of bytes given in hex

checkpoint() { # VKEY NOTE: sets $origin, $size and $root (hex) when the log's own key signed
  local vkey=$1 note=$2 name id key line signer blob good=
  name=${vkey%%+*} id=${vkey#*+} key=$(unbase64 <<<"${id#*+}" | hex) id=${id%%+*}
  [[ ${#key} = 66 && ${key:0:2} = 01 ]] || fail "not an Ed25519 verifier key"
  [[ $({ printf '%s\n' "$name"; xxd -r -p <<<"$key"; } | sha256 | cut -c 1-8) = "$id" ]] || fail "verifier key is damaged"
  xxd -r -p <<<"302a300506032b6570032100${key:2}" >"$work/key.der" # RFC 8410: an Ed25519 key in DER
  : >"$work/text"
  while IFS= read -r line && [[ -n $line ]]; do printf '%s\n' "$line" >>"$work/text"; done <"$note"
  while read -r _ signer line; do
    blob=$(unbase64 <<<"$line" | hex)
    [[ $signer = "$name" && ${blob:0:8} = "$id" ]] || continue # signatures of others, such as witnesses
    [[ $(xxd -r -p <<<"$blob" | openssl base64 -A) = "$line" ]] || fail "signature is not in base64"
    xxd -r -p <<<"${blob:8}" >"$work/signature"
    openssl pkeyutl -verify -pubin -keyform DER -inkey "$work/key.der" -rawin -in "$work/text" \
      -sigfile "$work/signature" >/dev/null 2>&1 || fail "signature by $name does not hold"
    good=yes
  done < <(grep -a '^— ' "$note" || true)
  [[ -n $good ]] || fail "not signed by $name+$id"
  { read -r origin; read -r size; read -r root; } <"$work/text"
  [[ $origin = "$name" && $size =~ ^(0|[1-9][0-9]{0,18})$ ]] || fail "not a checkpoint of $name"
  root=$(unbase64 <<<"$root" | hex)
}

proof() { # VKEY PROOF ENTRY
  local line index hash last path=() note=no
  : >"$work/note"
  while IFS= read -r line; do
    if [[ $note = yes ]]; then printf '%s\n' "$line" >>"$work/note"
    elif [[ -z $line ]]; then note=yes
    elif [[ $line = "index "* ]]; then index=${line#index }
    elif [[ $line != "c2sp.org/tlog-proof@v1" && $line != "extra "* ]]; then path+=("$(unbase64 <<<"$line" | hex)")
    fi
  done <"$2"
  checkpoint "$1" "$work/note"
  [[ ${index-} =~ ^(0|[1-9][0-9]{0,18})$ && $index -lt $size ]] || fail "entry ${index-} is not covered by the checkpoint"
  local at=$index
  last=$((size - 1)) hash=$({ printf '\0'; cat "$3"; } | sha256)
  for line in "${path[@]}"; do # RFC 9162, section 2.1.3.2
    ((last > 0)) || fail "path is too long"
    if ((at & 1 || at == last)); then
      hash=$(hash_of <<<"01$line$hash")
      while ((at > 0 && !(at & 1))); do at=$((at >> 1)) last=$((last >> 1)); done
    else
      hash=$(hash_of <<<"01$hash$line")
    fi
    at=$((at >> 1)) last=$((last >> 1))
  done
  [[ $last = 0 && $hash = "$root" ]] || fail "entry $index does not lead to the signed root"
  echo "verified: entry $index of $size in the log $origin"
}

tile() { # KIND N WIDTH: path of a tile; KIND is a level or `entries`
  local n=$2 path=
  printf -v path '%03d' $((n % 1000))
  while ((n >= 1000)); do n=$((n / 1000)); printf -v path 'x%03d/%s' $((n % 1000)) "$path"; done
  ((10#$3 == 256)) || path=$path.p/$3
  echo "tile/$1/$path"
}

level() { # LOG LEVEL: hashes of all tiles of a level, one a line
  local count=$((size >> 8 * $2)) n
  for ((n = 0; n * 256 < count; n++)); do
    local width=$((count - n * 256 < 256 ? count - n * 256 : 256))
    xxd -p -c 32 "$1/$(tile "$2" "$n" "$width")" || fail "a tile of level $2 is missing"
  done
}

parents() { # a line for each two lines: SHA-256(01 left right); a last one alone moves up as it is
  local left right odd=
  mkdir "$work/pairs"
  while read -r left; do
    if read -r right; then echo "01$left$right"; else odd=$left; fi
  done <"$1" >"$work/lines"
  xxd -r -p "$work/lines" | (cd "$work/pairs" && split -a 6 -b 65 - && printf '%s\0' * | xargs -0 sha256sum) | cut -c 1-64
  [[ -z $odd ]] || echo "$odd"
  rm -r "$work/pairs"
}

fold() { # [LOG]: $work/row up to one line; with LOG, each eighth row is compared with its tiles on the way
  local height=0
  while (($(wc -l <"$work/row") > 1)); do
    parents "$work/row" >"$work/next"
    mv "$work/next" "$work/row"
    height=$((height + 1))
    [[ -n ${1-} ]] && ((height % 8 == 0)) || continue
    level "$1" $((height / 8)) | cmp -s - <(head -n $((size >> height)) "$work/row") || fail "hash tiles of level $((height / 8))"
  done
}

tree() { # VKEY LOG
  checkpoint "$1" "$2/checkpoint"
  level "$2" 0 >"$work/row"
  fold "$2"
  [[ $(cat "$work/row") = "$root" ]] || fail "the hash tiles do not lead to the signed root"
  echo "verified: hash tiles of $size entries lead to the signed root of the log $origin"
}

since() { # VKEY LOG OLDER
  checkpoint "$1" "$3"
  local older=$size before=$root
  tree "$1" "$2"
  ((older <= size)) || fail "the older checkpoint covers $older entries, this log only $size"
  level "$2" 0 | sed -n "1,${older}p" >"$work/row"
  fold
  [[ $(cat "$work/row") = "$before" ]] || fail "this log does not extend the older checkpoint of $older entries"
  echo "verified: this log extends the older checkpoint of $older entries"
}

bundle() { # LOG N WIDTH: that the entries of a bundle hash to their tile
  local entry count=0 name="$1/$(tile entries "$2" "$3")"
  [[ -f $name ]] || fail "$name is missing"
  hex "$name" | sed 's/../\\x&/g' >"$work/bytes" # \x7b\x22: printf writes them as bytes again
  rm -rf "$work/entries" && mkdir "$work/entries"
  while read -r -N 8 entry; do # two bytes of length, then the entry
    read -r -N $((16#${entry:2:2}${entry:6:2} * 4)) entry || fail "bundle $2 ends inside an entry"
    printf -v name '%s/entries/%03d' "$work" $((count++))
    printf '\x00'"$entry" >"$name"
  done <"$work/bytes"
  ((count == $3)) || fail "bundle $2 holds $count entries instead of $3"
  cmp -s <(sha256 "$work/entries"/*) <(xxd -p -c 32 "$1/$(tile 0 "$2" "$3")") || fail "an entry of bundle $2 was changed"
}

entries() { # VKEY LOG [FROM [TO]]
  checkpoint "$1" "$2/checkpoint"
  local last=$(((size - 1) / 256)) n
  for ((n = ${3-0}; n <= ${4-$last}; n++)); do
    bundle "$2" "$n" $((n < last ? 256 : size - last * 256))
  done
  echo "verified: entries $((${3-0} * 256)) to $((${4-$last} < last ? (${4-$last} + 1) * 256 - 1 : size - 1)) hash to their tiles"
}

entry() { # VKEY LOG N
  checkpoint "$1" "$2/checkpoint"
  [[ $3 =~ ^(0|[1-9][0-9]{0,18})$ && $3 -lt $size ]] || fail "entry $3 is not covered by the checkpoint"
  local n=$(($3 / 256)) last=$(((size - 1) / 256))
  bundle "$2" "$n" $((n < last ? 256 : size - last * 256))
  tail -c +2 "$work/entries/$(printf '%03d' $(($3 % 256)))"
}

command=${1-} given=$#
case $command in
  checkpoint | tree) ((given == 3)) ;;
  proof | since | entry) ((given == 4)) ;;
  entries) ((given >= 3 && given <= 5)) ;;
  *) false ;;
esac || { sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }
shift
"$command" "$@"
[[ $command != checkpoint ]] || echo "verified: checkpoint of $size entries of the log $origin"
