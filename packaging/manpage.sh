#!/bin/sh
# manpage.sh NAME SECTION ABOUT turns a program's --help, on standard input,
# into a manual page.
set -eu
printf '.TH %s %s\n.SH NAME\n%s \\- %s\n.SH DESCRIPTION\n.nf\n' "$(echo "$1" | tr a-z A-Z)" "$2" "$1" "$3"
sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/"
printf '.fi\n'
