# Leaves the settings of a stack file: drops its salt, and every key whose value is encrypted.
/^encryptionsalt:/d
/:$/ {
    $!N
    /\n *secure: /d
    P
    D
}
