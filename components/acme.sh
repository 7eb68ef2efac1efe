#!/bin/sh
# What HAProxy's ACME client leaves to others: it keeps a certificate in memory only, so that a restart would order
# another, and it looks but once in 12 hours whether one is due. Takes the path of HAProxy's socket, how many seconds to
# wait for an order that is under way, and `now` to order one that is due although that was tried within the hour.
#
# The container's healthcheck runs it every few seconds: whenever HAProxy renews, weeks after `up`, the certificate is on
# the volume before anybody can restart it. No process has to be watched for that (HAProxy 3.3 took its `program`
# sections away), and where it fails, the container is unhealthy and says why. A job runs it before a reload, and after it,
# as a new container may follow: what is ordered until then would be lost.
set -eu
umask 077
cd "$(dirname "$0")"
socket=$1
# A CA counts failed orders: Let's Encrypt takes 5 an hour. HAProxy orders by itself at each start without a certificate:
# that comes on top.
retry=3600

ask() { printf '%s\n' "$1" | socat -t2 - "UNIX-CONNECT:$socket"; }
seconds() { date -u -d "$(echo "$1" | sed 's/T/ /; s/Z//')" +%s; }

for _ in $(seq "$2"); do
    ask "acme status" | grep -q '	Running	' || break
    sleep 1
done

# Until the reload that begins with ACME, there is nothing to see to.
status=$(ask "acme status" | grep '\.pem	') || exit 0
IFS='	' read -r name _ state expires _ due _ <<END
$status
END
now=$(date +%s)

shown=$(ask "show ssl cert $name")
serial=$(echo "$shown" | sed -n 's/^Serial: *//p' | head -n 1)
# The certificate HAProxy starts with when it has none is never kept: it would be taken for the real one.
if ! echo "$shown" | grep -q '^Issuer:.*CN=expired'; then
    ask "experimental-mode on; set var proc.certificate_not_after int($(seconds "$expires"))" >/dev/null
    if [ "$(head -n 1 "$name" 2>/dev/null)" != "# $serial" ]; then
        # A job may be at it too, in a container of another name.
        new=$name.$(uname -n)
        { echo "# $serial"; ask "dump ssl cert $name"; } >"$new"
        grep -q 'BEGIN CERTIFICATE' "$new"
        grep -q 'PRIVATE KEY' "$new"
        mv "$new" "$name"
        # The state is from before: it may still say that an order is under way.
        rm -f tried
        exit
    fi
fi

if [ "$state" = Running ]; then
    echo "$now" >tried
elif [ "$(seconds "$due")" -le "$now" ] &&
    { [ "${3:-}" = now ] || [ "$(($(cat tried 2>/dev/null || echo 0) + retry))" -le "$now" ]; }; then
    echo "$now" >tried
    ask "acme renew $name"
    # Who waits, waits for this one too: a worker that has just been started may not have begun its own order yet.
    if [ "$2" -gt 0 ]; then exec sh "$0" "$1" "$2"; fi
fi
