# Says how long each tool takes for the same bytes.
#
# Run by `/bin/sh -c` behind tool.sh. For each tool that is right it says R, its
# name, and when it began and ended, in nanoseconds. Where `date` knows none,
# what it says instead is no number.
#
# shellcheck shell=sh disable=SC2154

zeros() {
    dd if=/dev/zero bs=1048576 count=8
}

for tool in sha256sum openssl; do
    sum=$(echo "$nonce" | { digest && echo "$sum"; })
    [ "$sum" = "$proof" ] || continue
    began=$(date +%s%N)
    digest zeros && say R "$tool" "$began" "$(date +%s%N)"
done
say Z
