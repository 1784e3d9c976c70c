#!/bin/sh
# Makes .venv with the tested versions. Does nothing, and needs no network, when it is up to date.
set -eu
PYTHON=${PYTHON:-python3}

if ! "$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
    echo "setup: Python 3.11, 3.12 or 3.13 is needed, and $PYTHON is not one." \
        "Say which: make PYTHON=python3.12 ..." >&2
    exit 1
fi

# The place counts too: an environment that was moved with its folder does not work.
wanted=$( (pwd; "$PYTHON" --version; cat pyproject.toml constraints.txt hashes*.txt scripts/setup.sh) | cksum)
if [ "$(cat .venv/ready 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi

echo "setup: making .venv with the tested versions (once; a minute or two)" >&2
rm -rf .venv
"$PYTHON" -m venv .venv
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# What is downloaded is kept, so that a test can make further environments without a network. Each
# file must have the hash that it had when this was tested.
.venv/bin/python -m pip --quiet download --prefer-binary --no-deps --require-hashes \
    -d .cache/wheels -r hashes.txt -r hashes-test.txt
.venv/bin/python -m pip --quiet install --no-index --find-links .cache/wheels --no-deps \
    -r constraints.txt
.venv/bin/python -m pip --quiet install --no-index --find-links .cache/wheels --no-deps -e .
echo "$wanted" > .venv/ready
