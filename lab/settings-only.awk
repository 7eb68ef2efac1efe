# Leaves the settings of a stack file: drops its salt, every key whose value is encrypted, and every list or object that
# holds nothing else.
/^encryptionsalt:/ { next }
{ lines[++count] = $0 }
function depth(line) { match(line, /^ */); return RLENGTH }
END {
    for (i = 1; i <= count; i++)
        if (lines[i] ~ /^ *(- )?secure: /) {
            gone[i] = 1
            if (lines[i] !~ /^ *- /) gone[i - 1] = 1
        }
    # From the end, so that what is within a key has been judged before the key.
    after = 0
    for (i = count; i >= 1; i--) {
        if (i in gone) { emptied = 1; continue }
        if (emptied && lines[i] ~ /:$/ && depth(lines[i]) >= after) gone[i] = 1
        else { emptied = 0; after = depth(lines[i]) }
    }
    for (i = 1; i <= count; i++) if (!(i in gone)) print lines[i]
}
