# Sourced by tests/arm64 and tests/vm: packages of a Debian release, of any architecture, unpacked into a folder; any user may.
# Needs apt-get and dpkg (Debian, Raspberry Pi OS, Ubuntu) and the package debian-archive-keyring, by which the downloads are proved.

MIRROR=${MIRROR:-http://deb.debian.org/debian}

# debian_root RELEASE ARCHITECTURE FOLDER PACKAGE...: the packages and all they depend on, in FOLDER/root; nothing is done the second time
debian_root() {
  local release=$1 architecture=$2 folder=$3 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  shift 3
  local wanted="$release $architecture $*"
  [ "$(cat "$folder/fetched" 2>/dev/null)" = "$wanted" ] && return
  for tool in apt-get dpkg; do
    command -v "$tool" > /dev/null || { echo "$tool is missing: this needs Debian, Raspberry Pi OS or Ubuntu" >&2; return 1; }
  done
  [ -e "$keyring" ] || { echo "$keyring is missing: sudo apt install debian-archive-keyring" >&2; return 1; }
  rm -rf "$folder"
  mkdir -p "$folder"/{lists/partial,cache/archives/partial,root} || return
  : > "$folder/status"
  echo "deb [arch=$architecture signed-by=$keyring] $MIRROR $release main" > "$folder/sources.list"
  # apt's own directories: the lists, the cache and what counts as installed are not this system's
  local apt=(apt-get -q -y -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o Dir::State="$folder"
    -o Dir::State::status="$folder/status" -o Dir::State::lists="$folder/lists" -o Dir::Cache="$folder/cache"
    -o Dir::Etc::sourcelist="$folder/sources.list" -o Dir::Etc::sourceparts=- -o Dir::Etc::preferencesparts=- -o Debug::NoLocking=1
    -o APT::Sandbox::User=root -o Acquire::Languages=none)
  "${apt[@]}" update > "$folder/apt.log" 2>&1 &&
    "${apt[@]}" --no-install-recommends --download-only install "$@" >> "$folder/apt.log" 2>&1 ||
    { echo "packages of $release ($architecture) cannot be fetched from $MIRROR:" >&2; tail -5 "$folder/apt.log" >&2; return 1; }
  local place package
  # merged /usr, as in the release; dpkg -x alone would make /lib a folder
  for place in bin lib lib64 sbin; do mkdir -p "$folder/root/usr/$place" && ln -s "usr/$place" "$folder/root/$place"; done
  for package in "$folder"/cache/archives/*.deb; do
    dpkg --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$folder/root" || return
  done
  rm -r "$folder/cache" "$folder/lists"
  echo "$wanted" > "$folder/fetched"
}
