#!/bin/sh
# A sound card without one: PulseAudio with a null sink to play into ("ears"), and one whose monitor is the
# microphone ("mouth" -> "mic"). Usage: pulse.sh start DIR | stop DIR. DIR becomes HOME and the runtime folder.
# Debian packages: pulseaudio libportaudio2 libasound2-plugins
set -eu
dir=$2
export HOME="$dir" XDG_RUNTIME_DIR="$dir" PULSE_RUNTIME_PATH="$dir/pulse"
case $1 in
start)
    mkdir -p "$dir"
    printf 'pcm.!default { type pulse }\nctl.!default { type pulse }\n' > "$dir/.asoundrc"
    pulseaudio --daemonize=yes --exit-idle-time=-1 --disallow-exit=no --use-pid-file=yes -n \
        --log-target=file:"$dir/pulse.log" \
        --load="module-native-protocol-unix" \
        --load="module-null-sink sink_name=ears rate=48000" \
        --load="module-null-sink sink_name=mouth rate=48000" \
        --load="module-remap-source source_name=mic master=mouth.monitor"
    pactl set-default-sink ears
    pactl set-default-source mic
    ;;
stop)
    # It writes into its folder until it is gone, and whoever stops it removes the folder next.
    pid=$(cat "$dir/pulse/pid")
    pulseaudio --kill
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || exit 0
        sleep 0.1
    done
    kill -9 "$pid"
    ;;
esac
