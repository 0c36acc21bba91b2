#!/bin/sh
# One request by curl, for by_curl.py: curl.sh METHOD URL KEY RETRIES SECONDS FOLDER
# The body is in FOLDER/request; the reply's goes to FOLDER/reply, its status to standard output. After SECONDS curl
# leaves, with whatever it got.
set -eu
method=$1 url=$2 key=$3 retries=$4 seconds=$5 folder=$6
set -- --silent --no-buffer --header "Authorization: Bearer $key" --max-time "$seconds" --retry "$retries" \
  --output "$folder/reply" --write-out '%{http_code}'
if [ "$method" = POST ]; then
  set -- "$@" --header 'Content-Type: application/json' --data-binary "@$folder/request"
fi
curl "$@" "$url" || test $? = 28
