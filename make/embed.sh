#!/bin/sh
# Files as C: each FILE "page.js" becomes `const char pb_page_js[]`, ended by a NUL, and its size
# `const size_t pb_page_js_size`.
#   make/embed.sh FILE...
set -eu
echo '/* Made by make/embed.sh: do not edit. */'
echo '#include "report/page_files.h"'
for file in "$@"; do
	name=pb_$(basename "$file" | tr . _)
	printf '\nconst char %s[] = {\n' "$name"
	od -An -v -td1 "$file" | sed 's/\(-*[0-9][0-9]*\)/\1,/g'
	printf '0};\nconst size_t %s_size = sizeof %s - 1;\n' "$name" "$name"
done
