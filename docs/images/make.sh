#!/bin/sh
# The pictures of a report: its page made again from docs/results/studies/container/report.json,
# photographed by scripts/screenshots.sh, cut. The MLflow pictures are of a server's own pages.
# usage: docs/images/make.sh         after scripts/build.sh release --target redraw_tool
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

build/release/tests/redraw_tool docs/results/studies/container/report.json "$work" "$work/page.html"
scripts/screenshots.sh "$work/page.html" "$work" 7000 9000

cut() { # cut FROM GEOMETRY TO
    convert "$work/$1" -crop "$2" +repage -strip +dither -colors 256 "PNG8:docs/images/$3"
}
cut desktop-light.png 1000x3600+140+0 report-desktop-light.png
cut desktop-dark.png 1000x3600+140+0 report-desktop-dark.png
cut desktop-light.png 1000x1180+140+3310 report-resources.png
cut phone-dark.png 360x3600+0+2990 report-phone-dark.png
convert "$work/print-1.png" "$work/print-2.png" "$work/print-6.png" -bordercolor '#c0c0c0' -border 6 \
    +append -strip +dither -colors 256 PNG8:docs/images/report-print.png
