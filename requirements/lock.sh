#!/bin/sh
# Pins with hashes, for every supported Python at once and with no index address in them.
set -eu
cd "$(dirname "$0")/.."
common="--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet"
uv pip compile $common pyproject.toml -o requirements/run.txt
# What the container image installs: the drivers of Postgres and object stores, and notifications.
uv pip compile $common --extra postgres --extra notify --extra s3 \
  --constraint requirements/run.txt pyproject.toml -o requirements/image.txt
uv pip compile $common --group dev --constraint requirements/run.txt pyproject.toml -o requirements/dev.txt
# What builds the wheel: in the image nothing is installed without a hash.
uv pip compile $common --group build --constraint requirements/dev.txt -o requirements/build.txt
