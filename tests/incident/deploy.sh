#!/bin/bash
# The deploy: renders a configuration for each of many services with one small program after the other, most of which
# look for files that are not there.
for service in $(seq 1 "$1"); do
    for file in local "$(uname -n)" production; do
        grep -s port "config/$service/$file.toml" > /dev/null
    done
    sed "s/@SERVICE@/$service/" templates/service.conf > "rendered/$service.conf"
    sort -u "rendered/$service.conf" | head -n 3 | wc -l > /dev/null
    [ -x hooks/after-render ] && hooks/after-render "$service"
    sleep 0.03
done
