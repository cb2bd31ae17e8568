# shellcheck shell=bash disable=SC2154
# The parts of a release; deploy/release/release sources this and sets into, work,
# version, revision, created and architecture.

# Prints the path of the stripped binary, and makes its symbols, once.
stripped() {
  if [ ! -e "$work/erawan" ]; then
    local built=${ERAWAN_BINARY:-}
    if [ -z "$built" ]; then
      cargo build --profile dist --locked --bin erawan >&2
      built=${CARGO_TARGET_DIR:-target}/dist/erawan
    fi
    objcopy --only-keep-debug "$built" "$work/erawan.debug"
    built=$(realpath "$built")
    (cd "$work" && objcopy --strip-all --add-gnu-debuglink=erawan.debug "$built" erawan)
  fi
  echo "$work/erawan"
}

# An archive whose bytes depend on its content only.
archive() {
  local file=$1 folder=$2
  shift 2
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$folder" -cf - "$@" |
    gzip -n >"$file"
}

make_binary() {
  local program name=erawan-$version-$architecture
  program=$(stripped)
  local folder=$work/$name
  mkdir -p "$folder"
  cp "$program" LICENSE README.md CHANGELOG.md "$folder"
  archive "$into/$name.tar.gz" "$work" "$name"
  archive "$into/$name-debug.tar.gz" "$work" erawan.debug
}

make_deb() {
  local program
  program=$(stripped)
  deploy/release/debian "$program" "$version" "$into"
}

make_sbom() {
  python3 deploy/release/sbom.py "$version" "$revision" "$created" >"$into/erawan-$version.cdx.json"
}

make_notes() {
  awk -v version="$version" '/^## /{found = ($2 == version)} found' CHANGELOG.md >"$into/NOTES.md"
}

make_docs() {
  deploy/release/site "$work/site"
  archive "$into/erawan-$version-docs.tar.gz" "$work" site
}

make_chart() {
  "${HELM:-helm}" package deploy/helm/erawan --destination "$into"
}

make_image() {
  local arguments=(
    --build-arg VERSION="$version" --build-arg REVISION="$revision" --build-arg CREATED="$created"
    --file deploy/docker/Dockerfile
  )
  docker build "${arguments[@]}" --tag "erawan:$version" .
  docker save "erawan:$version" | gzip -n >"$into/erawan-$version-image.tar.gz"
}
