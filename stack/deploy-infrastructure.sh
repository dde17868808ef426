#!/usr/bin/env bash
# Deploys the stack with Docker Compose.
#
#   deploy-infrastructure.sh deploy     check, back up (production), start, update replica by replica, wait until healthy
#   deploy-infrastructure.sh rollback   the same with the release that ran before
#   deploy-infrastructure.sh backup     PostgreSQL and Redis into files; old ones are removed
#   deploy-infrastructure.sh health     says of each service whether it works; exit code 1 when one does not
#
# ENVIRONMENT  development (default) or production
# ENV_FILE     default .env.development; /etc/tracklists/production.env in production
# STATE        where the releases are noted, default ~/.local/state/tracklists/ENVIRONMENT
# BACKUPS      default STATE/backups
# KEEP         backups of each kind that stay, default 14
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# These hold no data and run as several replicas: a new one starts before an old one stops.
readonly STATELESS=(scraper-1001tracklists data-transformer rest-api)

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
fail() { say "$1"; exit "${2:-1}"; }
usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$(basename "${BASH_SOURCE[0]}")" >&2; exit 2; }

ENVIRONMENT=${ENVIRONMENT:-development}
case $ENVIRONMENT in
    development) overrides=docker-compose.dev.yml env_file=${ENV_FILE:-.env.development} ;;
    production) overrides=docker-compose.prod.yml env_file=${ENV_FILE:-/etc/tracklists/production.env} ;;
    *) fail "ENVIRONMENT is development or production, not $ENVIRONMENT" 2 ;;
esac
state=${STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/tracklists/$ENVIRONMENT}
backups=${BACKUPS:-$state/backups}
keep=${KEEP:-14}

compose() { docker compose -f docker-compose.yml -f "$overrides" --env-file "$env_file" "$@"; }

# Nothing is touched before the files and the environment are known to be whole.
check() {
    [[ -r $env_file ]] || fail "the environment file $env_file cannot be read" 2
    compose config --quiet || fail "Docker Compose refuses the files" 2
    if command -v infra-audit >/dev/null; then
        infra-audit check "$overrides" --no-color >&2 || fail "infra-audit found errors; nothing was changed"
    else
        say "infra-audit is not installed: the files were not audited"
    fi
}

release() { compose config --images | sed -n 's|.*/rest-api:||p'; }

running() { [[ -n $(compose ps --quiet --status running "$1") ]]; }

remove() {
    docker stop "$1" >/dev/null
    docker rm "$1" >/dev/null
}

# Docker's DNS names a sick replica, too, so it would get requests, and --wait would wait for it.
remove_sick() {
    local one
    for one in $(compose ps --quiet "$1"); do
        if [[ $(docker inspect --format '{{.State.Health.Status}}' "$one") == unhealthy ]]; then
            say "$1: removing ${one:0:12}, it is not healthy"
            remove "$one"
        fi
    done
}

# One replica at a time: a new one beside the old ones, until it is healthy; then an old one goes, in its own time.
# A replica that already is what the files say stays.
update() {
    local service=$1 wanted hash old count
    remove_sick "$service"
    wanted=$(compose config --hash "$service" | awk '{print $2}')
    count=$(compose ps --quiet "$service" | wc -l)
    for old in $(compose ps --quiet "$service"); do
        hash=$(docker inspect --format '{{index .Config.Labels "com.docker.compose.config-hash"}}' "$old")
        [[ $hash != "$wanted" ]] || continue
        say "$service: replacing ${old:0:12}"
        if ! compose up --detach --no-deps --no-recreate --wait --scale "$service=$((count + 1))" "$service"; then
            remove_sick "$service"
            fail "$service: the new release does not become healthy; the old replicas still run. To go back: $0 rollback"
        fi
        remove "$old"
    done
}

start() {
    local service others=()
    while read -r service; do
        [[ " ${STATELESS[*]} " == *" $service "* ]] || others+=("$service")
    done < <(compose config --services)
    say "datastores"
    compose up --detach --wait --no-deps postgres redis rabbitmq
    for service in "${STATELESS[@]}"; do
        update "$service"
    done
    compose up --detach --wait --no-recreate "${STATELESS[@]}"
    say "gateway and monitoring"
    compose up --detach --wait --no-deps "${others[@]}"
}

noted() { [[ ! -r $state/$1 ]] || cat "$state/$1"; }

# What is tried is noted before, what works afterwards: from a failed release the way back is the one that worked.
release_to() {
    local new=$1 before
    printf '%s\n' "$new" >"$state/tried"
    start
    before=$(noted works)
    [[ $before == "$new" ]] || printf '%s\n' "$before" >"$state/before"
    printf '%s\n' "$new" >"$state/works"
}

deploy() {
    check
    if [[ $ENVIRONMENT == production ]]; then
        compose pull --quiet
        if running postgres; then backup; fi
    fi
    say "release $(release)"
    release_to "$(release)"
    health
}

rollback() {
    local back
    back=$(noted works)
    [[ $back != "$(noted tried)" ]] || back=$(noted before)
    [[ -n $back ]] || fail "no earlier release is noted in $state"
    # The environment wins over the file.
    export TAG=$back
    check
    say "back to release $TAG"
    release_to "$TAG"
    health
}

# Into a file beside, which gets its name when it is whole.
keep_newest() {
    local name=$1 file
    mv "$backups/$name.part" "$backups/$name-$(date -u +%Y%m%dT%H%M%SZ)"
    while read -r file; do
        rm -- "$file"
    done < <(find "$backups" -maxdepth 1 -name "$name-*" | sort -r | tail -n "+$((keep + 1))")
}

backup() {
    umask 077
    mkdir -p "$backups"
    say "backup of PostgreSQL"
    compose exec -T postgres pg_dump -U tracklists -Fc tracklists >"$backups/postgres.part"
    compose exec -T postgres pg_restore --list <"$backups/postgres.part" >/dev/null || fail "the backup of PostgreSQL cannot be read"
    keep_newest postgres
    say "backup of Redis"
    # A stream has a mark of 40 bytes at its end, which Redis does not read when it loads the file.
    compose exec -T redis redis-cli --rdb - >"$backups/redis.part"
    [[ $(head -c 5 "$backups/redis.part") == REDIS ]] || fail "the backup of Redis cannot be read"
    keep_newest redis
    say "in $backups: $(find "$backups" -maxdepth 1 -type f | wc -l) files"
}

health() {
    local service states bad=0
    while read -r service; do
        states=$(compose ps --all --format '{{.State}} {{.Health}}' "$service" | sort | uniq -c | sed 's/^ *//' | paste -sd, -)
        if [[ -z $states || $states == *,* || $states != *" running healthy" ]]; then
            bad=1
            printf 'NOT WELL  %-24s %s\n' "$service" "${states:-not there}"
        else
            printf 'well      %-24s %s\n' "$service" "$states"
        fi
    done < <(compose config --services | sort)
    return "$bad"
}

[[ $# == 1 ]] || usage
case $1 in
    deploy | rollback | backup)
        mkdir -p "$state"
        # Two at the same time would replace each other's replicas.
        exec 9>"$state/lock"
        flock -n 9 || fail "another deployment is under way"
        "$1"
        ;;
    health) health ;;
    *) usage ;;
esac
