#!/bin/sh
# What the entry points of the real images do, as far as the stack needs it; runs as the user that the stack names.
set -eu

case "$1" in
postgres)
    data=${PGDATA:-/var/lib/postgresql/data}
    if [ ! -s "$data/PG_VERSION" ]; then
        printf %s "$POSTGRES_PASSWORD" >/tmp/password
        initdb -D "$data" -U "$POSTGRES_USER" --pwfile=/tmp/password --auth-host=scram-sha-256 --auth-local=trust \
            -E UTF8 --locale=C.UTF-8 --no-sync --no-instructions >/dev/null
        rm /tmp/password
        echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
        pg_ctl -D "$data" -o '-c listen_addresses= -c unix_socket_directories=/run/postgresql -c jit=off -c fsync=off' -w start >/dev/null
        [ "$POSTGRES_DB" = postgres ] || createdb -h /run/postgresql -U "$POSTGRES_USER" "$POSTGRES_DB"
        for file in /docker-entrypoint-initdb.d/*.sql; do
            [ ! -f "$file" ] || psql -h /run/postgresql -v ON_ERROR_STOP=1 -qU "$POSTGRES_USER" -d "$POSTGRES_DB" -f "$file"
        done
        pg_ctl -D "$data" -m fast -w stop >/dev/null
    fi
    shift
    exec postgres -D "$data" -c jit=off -c unix_socket_directories=/run/postgresql "$@"
    ;;
rabbitmq-server)
    export HOME=/var/lib/rabbitmq RABBITMQ_ENABLED_PLUGINS_FILE=/etc/rabbitmq/enabled_plugins
    {
        echo "default_user = $RABBITMQ_DEFAULT_USER"
        echo "default_pass = $RABBITMQ_DEFAULT_PASS"
        echo "default_vhost = $RABBITMQ_DEFAULT_VHOST"
    } >/etc/rabbitmq/conf.d/10-defaults.conf
    ;;
app)
    # Answers /health until somebody removes the file, and /metrics; /dev/shm can be written in a read-only container.
    www=/dev/shm/www
    mkdir -p "$www/api" "$www/-"
    for path in index.html health healthz -/ready -/healthy api/health; do echo ok >"$www/$path"; done
    [ "$PORT" != 3000 ] || for path in search datasources; do echo '[]' >"$www/api/$path"; done
    [ "$PORT" != 3000 ] || echo '{"database": "ok"}' >"$www/api/health"
    echo 'app_up 1' >"$www/metrics"
    echo 'probe_success 1' >"$www/probe"
    exec httpd -f -p "${PORT:-8000}" -h "$www"
    ;;
socket-proxy)
    # Its rules as nginx enforces them: a GET of an allowed path goes to the socket, all else is forbidden.
    config=/dev/shm/nginx.conf
    {
        echo 'daemon off; pid /dev/shm/pid; error_log stderr; events {} http { access_log off;'
        for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path /dev/shm/$kind;"; done
        echo 'server { listen 2375; location / { return 403; }'
        for option in "$@"; do
            case $option in -allowGET=*)
                echo "location ~ \"^${option#*=}$\" { if (\$request_method != GET) { return 405; }"
                echo 'proxy_pass http://unix:/var/run/docker.sock; proxy_set_header Host docker; }'
                ;;
            esac
        done
        echo '} }'
    } >"$config"
    exec nginx -c "$config"
    ;;
esac
exec "$@"
