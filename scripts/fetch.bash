# shellcheck shell=bash
# For the scripts beside it: finds or fetches a program without root, into a cache of the project or of the user.
# They set these and then source this file:
#
#   program        their own name, which begins each line said
#   project_cache  where what is fetched is kept
#   user_cache     the same where the project is read-only; may be empty
#   version_of     function: the version of a binary; fails if it is not the program, or does not run here
#
# Nothing fetched is run before its hash is known to be right. Debian's packages are verified by apt (signatures of Debian's keyring
# over the hashes of its packages). Of what is kept in a cache the hashes are recorded when it is installed, and checked before
# each use. That finds a file that is damaged or replaced; it is no protection from a user who may write to the cache directory.
#
# What was tried and did not work collects in $tried.

DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
FETCH_TIMEOUT=120 # seconds
tried=
work=
cache=

say() { printf '%s: %s\n' "$program" "$*" >&2; }
fail() {
  say "$@"
  exit 1
}
# Each way that did not work is kept for the final message. What the caller would want to know in any case is said at once.
gave_up() { tried="$tried  - $*"$'\n'; }
gave_up_aloud() {
  say "$@"
  gave_up "$@"
}
cleanup() { [ -z "$work" ] || rm -rf "$work"; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

has() { command -v "$1" >/dev/null 2>&1; }
# macOS has no timeout(1); there the tools' own limits have to do.
bounded() {
  local seconds=$1
  shift
  if has timeout; then timeout "$seconds" "$@"; else "$@"; fi
}

absolute() { printf '%s/%s\n' "$(cd "$(dirname "$1")" && pwd -P)" "$(basename "$1")"; }

# The hash of a file, or with -c the check of a list of them (coreutils, macOS).
sha256() { if has sha256sum; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }

# record NAME [PATH...]: keeps the hashes of a program that was just put into the cache, and of all files that it needs from there.
record() {
  local name=$1 list
  list=$(cd "$cache" && find "$@" -type f -print | LC_ALL=C sort | while IFS= read -r file; do sha256 "$file" || exit 1; done) || return 1
  printf '%s\n' "$list" >"$work/$name.sha256" && mv -f "$work/$name.sha256" "$cache/$name.sha256"
}
# recorded DIR NAME: whether the program and its files are still what was recorded of them.
recorded() (
  cd "$1" 2>/dev/null && [ -f "$2.sha256" ] && grep -q "  $2\$" "$2.sha256" && sha256 -c --status "$2.sha256" 2>/dev/null
)

# cached NAME ACCEPTS: the copy under that name whose hash is the recorded one and whose version the predicate accepts.
cached() {
  local dir version
  for dir in "$project_cache" "$user_cache"; do
    [ -n "$dir" ] && [ -e "$dir/$1" ] || continue
    if ! recorded "$dir" "$1"; then
      say "$dir/$1 is not used: its hash is not the one recorded when it was installed"
      continue
    fi
    version=$(version_of "$dir/$1") || continue
    "$2" "$version" || continue
    printf '%s\n' "$dir/$1"
    return 0
  done
  return 1
}

writable_cache() {
  local dir
  for dir in "$project_cache" "$user_cache"; do
    [ -n "$dir" ] || continue
    # The root of an installed package may itself be read-only, hence the attempt and not a look at permissions.
    if mkdir -p "$dir" 2>/dev/null && [ -w "$dir" ]; then
      (cd "$dir" && pwd -P)
      return 0
    fi
  done
  return 1
}

# "URI suite" of every enabled entry for Debian packages with component main on this machine, in both formats of
# apt's sources. Debian's own come first; another archive that uses a Debian suite's name fails on the signature.
debian_mirrors() {
  local parts=/etc/apt/sources.list.d file
  {
    for file in /etc/apt/sources.list "$parts"/*.list; do
      [ -r "$file" ] || continue
      awk '$1 == "deb" { sub(/#.*/, ""); sub(/\[[^]]*\]/, ""); for (i = 4; i <= NF; i++) if ($i == "main") print $2, $3 }' "$file"
    done
    for file in "$parts"/*.sources; do
      [ -r "$file" ] || continue
      awk '
        function flush(  u, s, nu, ns, i, j) {
          if (f["types"] ~ /(^| )deb( |$)/ && f["components"] ~ /(^| )main( |$)/ && f["enabled"] !~ /^ *(no|false|off|0)/) {
            nu = split(f["uris"], u, " "); ns = split(f["suites"], s, " ")
            for (i = 1; i <= nu; i++) for (j = 1; j <= ns; j++) print u[i], s[j]
          }
          split("", f); field = ""
        }
        /^#/ { next }
        /^[ \t]*$/ { flush(); next }
        /^[ \t]/ { if (field != "") { gsub(/[ \t]+/, " "); f[field] = f[field] $0 }; next }
        { field = tolower(substr($0, 1, index($0, ":") - 1)); value = substr($0, index($0, ":") + 1); gsub(/[ \t]+/, " ", value); f[field] = value }
        END { flush() }' "$file"
    done
  } | awk '
    $1 ~ /^cdrom:/ { next }
    $2 !~ /^(oldoldstable|oldstable|stable|testing|unstable|sid|buster|bullseye|bookworm|trixie|forky|duke)$/ { next }
    { sub(/\/+$/, "", $1) }
    seen[$1]++ { next }
    $1 ~ /\/debian$/ { print; next }
    { rest = rest $0 "\n" }
    END { printf "%s", rest }' | cut -d' ' -f1
}

# debian_packages SUITE TAKE PACKAGE...: has apt fetch the packages of a suite, with all its state in the work directory,
# and unpacks them together; TAKE is called with that directory and says whether they will do.
debian_packages() {
  local suite=$1 take=$2 uri root mirrors n=0 tool package
  shift 2
  for tool in apt-get dpkg; do
    has "$tool" || { gave_up "Debian package: $tool is not installed" && return 1; }
  done
  [ -r "$DEBIAN_KEYRING" ] || { gave_up "Debian package: there is no $DEBIAN_KEYRING (package debian-archive-keyring)" && return 1; }
  mirrors=$(debian_mirrors)
  [ -n "$mirrors" ] || { gave_up 'Debian package: the apt sources of this machine name no Debian mirror' && return 1; }
  while IFS= read -r uri; do
    n=$((n + 1))
    [ "$n" -le 3 ] || break
    root=$work/apt-$n
    mkdir -p "$root/lists/partial" "$root/cache/archives/partial" "$root/unpacked" "$root/parts"
    printf 'deb [signed-by=%s] %s %s main\n' "$DEBIAN_KEYRING" "$uri" "$suite" >"$root/sources.list"
    : >"$root/status"
    : >"$root/preferences"
    # An empty status and no preferences: neither what is installed nor a pin decides which version is taken.
    # The hooks are cleared because they clean up the machine's own cache.
    cat >"$root/apt.conf" <<CONF || return 1
Dir::Etc::sourcelist "$root/sources.list";
Dir::Etc::sourceparts "$root/parts";
Dir::Etc::preferences "$root/preferences";
Dir::Etc::preferencesparts "$root/parts";
Dir::State "$root";
Dir::State::lists "$root/lists";
Dir::State::status "$root/status";
Dir::Cache "$root/cache";
Dir::Log "$root";
APT::Default-Release "";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
CONF
    say "fetching $1 of Debian $suite from $uri"
    if (
      cd "$root"
      bounded "$FETCH_TIMEOUT" apt-get -c "$root/apt.conf" -qq update >&2 </dev/null &&
        bounded "$FETCH_TIMEOUT" apt-get -c "$root/apt.conf" -qq download "$@" >&2 </dev/null &&
        for package in *.deb; do dpkg -x "$package" unpacked >&2 || exit 1; done
    ) && "$take" "$root/unpacked"; then
      return 0
    fi
    gave_up "Debian package: none of a fitting version in $suite at $uri"
  done <<<"$mirrors"
  return 1
}

# fetch NAME ACCEPTS WAY...: tries each way until one leaves the binary in the cache. Callers at the same time wait
# for the first where flock(1) exists; elsewhere each fetches, and the rename into place keeps that harmless.
fetch() {
  local name=$1 accepts=$2 found
  shift 2
  if ! cache=$(writable_cache); then
    gave_up "download: neither $project_cache nor ${user_cache:-a cache in the home directory} is writable"
    return 1
  fi
  if has flock; then
    exec 9>"$cache/.lock"
    flock -w 600 9 || say 'another download has held the lock for ten minutes; going on without it'
    if found=$(cached "$name" "$accepts"); then
      exec 9>&-
      return 0
    fi
  fi
  work=$(mktemp -d "$cache/.fetch.XXXXXX")
  found=1
  "$@" && found=0
  rm -rf "$work"
  work=
  if has flock; then exec 9>&-; fi
  return "$found"
}
