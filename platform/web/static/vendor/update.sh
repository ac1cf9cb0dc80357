#!/bin/sh
# Fetches the vendored front-end packages and trims them. Needs node and npm; nothing here runs with the product.
# Usage, from this folder: ./update.sh   (then look at the pages, and commit what changed)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
web=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --ignore-scripts \
  @tabler/core@1.6.1 @tabler/icons@3.51.0 htmx.org@2.0.11 chart.js@4.6.1 @fontsource-variable/inter@5.3.0
npm install --silent esbuild purgecss

cp node_modules/htmx.org/dist/htmx.min.js node_modules/htmx.org/LICENSE "$here/htmx/"
cp node_modules/@fontsource-variable/inter/files/inter-latin-wght-normal.woff2 "$here/inter/inter.woff2"
cp node_modules/@fontsource-variable/inter/LICENSE "$here/inter/LICENSE"
cp node_modules/@tabler/icons/LICENSE "$here/icons/LICENSE"
cp node_modules/chart.js/LICENSE.md "$here/chartjs/LICENSE"

cp "$here/chartjs/entry.mjs" entry.mjs
npx esbuild entry.mjs --bundle --minify --format=iife --legal-comments=inline --outfile="$here/chartjs/chart.js"

# Tabler's style sheet, without the rules that no template and no script of ours can match.
cp node_modules/@tabler/core/dist/css/tabler.min.css tabler.css
node "$here/trim.mjs" "$web" tabler.css "$here/tabler/tabler.css"
node "$here/icons/sprite.mjs" node_modules/@tabler/icons "$here/icons/icons.txt" "$here/icons.svg"
ls -l "$here/tabler/tabler.css" "$here/icons.svg" "$here/chartjs/chart.js"
