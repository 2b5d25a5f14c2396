#!/usr/bin/env bash
# Write the bill of materials of an image: the Python packages in its files, as CycloneDX. `make sbom`
# calls it. Nothing of the image is run, so it may be one for another processor.
#     ENGINE=podman infra/sbom.sh IMAGE CYCLONEDX_PY FILE
set -euo pipefail
image=$1 tool=$2 file=$3
folder=$(mktemp -d)
container=$("$ENGINE" create --pull=never "$image")
trap '"$ENGINE" rm --force --volumes "$container" >/dev/null; rm -rf "$folder"' EXIT

"$ENGINE" cp "$container:/opt" "$folder/opt" >/dev/null
# The tool asks an environment for its packages: one of this machine, with those of the image.
python3 -m venv --without-pip "$folder/venv"
rm -r "$folder"/venv/lib/python*/site-packages
mv "$(find "$folder/opt" -type d -name site-packages)" "$(echo "$folder"/venv/lib/python*)/"
"$tool" environment --output-reproducible --output-file "$file" "$folder/venv"
echo "wrote $file"
