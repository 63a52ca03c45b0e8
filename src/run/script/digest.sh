# The SHA-256 of a file, by what the host has for it.
#
# shellcheck shell=sh

# Sets `sum` to the digest of stdin, by the program `tool`.
hash_stdin() {
    case $tool in
        sha256sum) sum=$(sha256sum) ;;
        shasum) sum=$(shasum -a 256) ;;
        openssl) sum=$(openssl dgst -sha256) && sum=${sum##* } ;;
    esac
    sum=${sum%% *}
}

# Sets `tool` to a program that is known to be right about three bytes, or to
# `none`.
find_tool() {
    for tool in sha256sum shasum openssl; do
        {
            hash_stdin <<TEXT
ok
TEXT
        } 2>/dev/null
        case $sum in
            dc51b8c96c2d745df3bd5590d990230a482fd247123599548e0632fdbf97fc22) return ;;
        esac
    done
    tool=none
}
