#!/bin/sh
# Pictures of a report's page by headless Chromium: desktop and phone width, light and dark, and
# the printed pages. Needs chromium, imagemagick and poppler-utils.
# usage: scripts/screenshots.sh report.html FOLDER [DESKTOP_HEIGHT [PHONE_HEIGHT]]
set -eu

if [ $# -lt 2 ]; then
    echo "usage: $0 report.html FOLDER [DESKTOP_HEIGHT [PHONE_HEIGHT]]" >&2
    exit 2
fi
page=$(realpath "$1")
mkdir -p "$2"
folder=$(realpath "$2")
desktop_height=${3:-2400}
phone_height=${4:-3600}
for tool in chromium convert pdftoppm; do
    if ! command -v "$tool" >/dev/null; then
        echo "screenshots: $tool is missing (Debian: apt-get install chromium imagemagick poppler-utils)" >&2
        exit 1
    fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

browser() {
    chromium --headless --no-sandbox --disable-gpu --hide-scrollbars \
        --user-data-dir="$work/profile" "$@" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        exit 1
    }
}

# A window is never narrower than some 500 pixels, so a phone's page sits in a frame of its width.
frame() { # frame WIDTH HEIGHT
    printf '<!DOCTYPE html><style>body{margin:0}iframe{border:0;display:block}</style>' >"$work/frame.html"
    printf '<iframe src="file://%s" width="%s" height="%s"></iframe>' "$page" "$1" "$2" >>"$work/frame.html"
}

for theme in light dark; do
    case $theme in # the value of Chromium's mojom PreferredColorScheme
    light) scheme=1 ;;
    dark) scheme=0 ;;
    esac
    settings=--blink-settings=preferredColorScheme=$scheme
    browser "$settings" --window-size="1280,$desktop_height" \
        --screenshot="$folder/desktop-$theme.png" "file://$page"
    frame 360 "$phone_height"
    browser "$settings" --window-size="520,$phone_height" \
        --screenshot="$work/phone.png" "file://$work/frame.html"
    convert "$work/phone.png" -crop "360x$phone_height+0+0" +repage -strip "$folder/phone-$theme.png"
done
browser --no-pdf-header-footer --print-to-pdf="$folder/print.pdf" "file://$page"
pdftoppm -r 70 -png "$folder/print.pdf" "$folder/print"
