"""What images are known to run: names of products by the last part of the image's name.

Compatible products keep their own names: Valkey is not Redis, OpenSearch is not Elasticsearch.
"""

from __future__ import annotations

from functools import lru_cache

from infra_audit.named import NamedTuple

__all__ = [
    "DATASTORES",
    "DEFAULT_PORTS",
    "FAMILIES",
    "MONITORS",
    "ONE_SHOT_IMAGES",
    "SHELL_IMAGES",
    "Image",
    "is_exporter",
    "parse_image",
    "product_of_image",
]


class Image(NamedTuple):
    """The parts of an image reference; ``registry`` with its port, ``tag`` and ``digest`` "" where absent."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """The last part of the repository."""
        return self.repository.rsplit("/", 1)[-1]

    @property
    def path(self) -> str:
        """The repository as Docker Hub's users write it: ``library/`` and Hub's own registry left out."""
        return self.repository.removeprefix("library/")

    @property
    def on_hub(self) -> bool:
        return self.registry in ("", "docker.io", "index.docker.io", "registry-1.docker.io")


@lru_cache(maxsize=4096)
def parse_image(text: str) -> Image:
    """``registry.example:5000/team/app:1.2@sha256:…`` in its parts."""
    rest, _, digest = text.partition("@")
    head, slash, last = rest.rpartition("/")
    last, _, tag = last.partition(":")
    path = head + slash + last
    first, slash, other = path.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return Image(first, other, tag, digest)
    return Image("", path, tag, digest)


_NAMES: dict[str, tuple[str, ...]] = {
    "postgres": (
        "postgres",
        "postgresql",
        "postgresql-repmgr",
        "timescaledb",
        "timescaledb-ha",
        "pgvector",
        "pgvecto-rs",
        "vectorchord-postgres",
        "postgis",
        "postgres-postgis",
        "spilo",
        "crunchy-postgres",
        "postgres-pgvector",
    ),
    "redis": ("redis", "redis-cluster", "redis-stack", "redis-stack-server", "rejson", "redismod", "redis-ha"),
    "redis-sentinel": ("redis-sentinel",),
    "valkey": ("valkey", "valkey-cluster", "valkey-bundle"),
    "keydb": ("keydb",),
    "dragonfly": ("dragonfly",),
    "rabbitmq": ("rabbitmq", "rabbitmq-management", "delayed-message-rabbitmq"),
    "mysql": ("mysql", "mysql-server", "percona", "percona-server", "mysql-5.7", "mysql57", "mysql-8"),
    "mariadb": ("mariadb", "mariadb-galera"),
    "mongodb": ("mongo", "mongodb", "mongodb-community-server", "percona-server-mongodb"),
    "elasticsearch": ("elasticsearch", "elasticsearch-oss"),
    "opensearch": ("opensearch",),
    "kafka": ("kafka", "cp-kafka", "cp-server", "kafka-native"),
    "redpanda": ("redpanda",),
    "zookeeper": ("zookeeper", "cp-zookeeper"),
    "memcached": ("memcached",),
    "cassandra": ("cassandra",),
    "scylla": ("scylla",),
    "clickhouse": ("clickhouse", "clickhouse-server"),
    "influxdb": ("influxdb",),
    "neo4j": ("neo4j",),
    "couchdb": ("couchdb",),
    "cockroachdb": ("cockroach",),
    "mssql": ("mssql", "azure-sql-edge"),
    "minio": ("minio",),
    "etcd": ("etcd",),
    "consul": ("consul",),
    "vault": ("vault",),
    "nats": ("nats", "nats-streaming"),
    "qdrant": ("qdrant",),
    "nginx": ("nginx", "nginx-unprivileged"),
    "nginx-proxy": ("nginx-proxy",),
    "openresty": ("openresty",),
    "apache": ("httpd",),
    "traefik": ("traefik",),
    "haproxy": ("haproxy",),
    "caddy": ("caddy",),
    "envoy": ("envoy",),
    "prometheus": ("prometheus",),
    "victoriametrics": ("victoria-metrics",),
    "vmagent": ("vmagent",),
    "vmalert": ("vmalert",),
    "alertmanager": ("alertmanager",),
    "pushgateway": ("pushgateway",),
    "grafana": ("grafana", "grafana-oss", "grafana-enterprise"),
    "loki": ("loki",),
    "promtail": ("promtail",),
    "tempo": ("tempo",),
    "jaeger": ("jaeger", "jaeger-collector", "jaeger-query", "jaeger-ingester", "jaeger-remote-storage"),
    "cadvisor": ("cadvisor",),
    "node-exporter": ("node-exporter", "node_exporter"),
    "postgres-exporter": ("postgres-exporter", "postgres_exporter"),
    "redis-exporter": ("redis-exporter", "redis_exporter"),
    "rabbitmq-exporter": ("rabbitmq-exporter", "rabbitmq_exporter"),
    "mysqld-exporter": ("mysqld-exporter", "mysqld_exporter"),
    "mongodb-exporter": ("mongodb-exporter", "mongodb_exporter"),
    "nginx-exporter": ("nginx-prometheus-exporter", "nginx-exporter", "nginx_exporter"),
    "blackbox-exporter": ("blackbox-exporter", "blackbox_exporter"),
    "elasticsearch-exporter": ("elasticsearch-exporter", "elasticsearch_exporter"),
    "kibana": ("kibana", "kibana-oss"),
    "logstash": ("logstash", "logstash-oss"),
    "keycloak": ("keycloak",),
    "portainer": ("portainer-ce", "portainer-ee", "portainer"),
    "registry": ("registry",),
    "pgbouncer": ("pgbouncer",),
    "pgadmin": ("pgadmin4",),
    "adminer": ("adminer",),
    "phpmyadmin": ("phpmyadmin",),
    "mongo-express": ("mongo-express",),
    "redis-commander": ("redis-commander",),
    "redisinsight": ("redisinsight",),
    "mailhog": ("mailhog",),
    "mailpit": ("mailpit",),
    "watchtower": ("watchtower",),
    "otel-collector": ("opentelemetry-collector", "opentelemetry-collector-contrib"),
}

_PRODUCTS = {name: product for product, names in _NAMES.items() for name in names}

_REPOSITORIES: dict[str, str] = {
    "jaegertracing/all-in-one": "jaeger",
    "ankane/pgvector": "postgres",
    "mssql/server": "mssql",
    "opendistroforelasticsearch/opendistro-for-elasticsearch": "opensearch",
    "immich-app/postgres": "postgres",
    "otel/opentelemetry-collector-k8s": "otel-collector",
    "dpage/pgadmin4": "pgadmin",
}
"""Repositories whose last part alone would say too little or something else."""

DATASTORES = frozenset(
    (
        "postgres",
        "redis",
        "valkey",
        "keydb",
        "dragonfly",
        "rabbitmq",
        "mysql",
        "mariadb",
        "mongodb",
        "elasticsearch",
        "opensearch",
        "kafka",
        "redpanda",
        "zookeeper",
        "memcached",
        "cassandra",
        "scylla",
        "clickhouse",
        "influxdb",
        "neo4j",
        "couchdb",
        "cockroachdb",
        "mssql",
        "minio",
        "etcd",
        "nats",
        "qdrant",
    )
)
"""Products that hold data or messages, brokers included."""

DEFAULT_PORTS: dict[str, tuple[int, ...]] = {
    "postgres": (5432, 8008, 8081),
    "redis": (6379, 8001, 16379),
    "redis-sentinel": (26379,),
    "valkey": (6379, 16379),
    "keydb": (6379,),
    "dragonfly": (6379,),
    "rabbitmq": (4369, 5671, 5672, 15671, 15672, 15674, 15675, 15691, 15692, 1883, 8883, 61613, 5552, 25672),
    "mysql": (3306, 33060),
    "mariadb": (3306,),
    "mongodb": (27017, 27018, 27019),
    "elasticsearch": (9200, 9300),
    "opensearch": (9200, 9300, 9600, 9650),
    "memcached": (11211,),
    "zookeeper": (2181, 2888, 3888, 8080, 7000),
    "clickhouse": (8123, 8443, 9000, 9004, 9005, 9009, 9440, 9363),
    "influxdb": (8086, 8088),
    "neo4j": (7474, 7473, 7687, 2004),
    "couchdb": (5984, 4369, 9100),
    "minio": (9000, 9001),
    "nats": (4222, 6222, 8222),
    "qdrant": (6333, 6334, 6335),
    "nginx": (80, 443),
    "apache": (80, 443),
    "traefik": (80, 443, 8080, 8082),
    "caddy": (80, 443, 2019),
    "prometheus": (9090,),
    "victoriametrics": (8428,),
    "alertmanager": (9093, 9094),
    "pushgateway": (9091,),
    "grafana": (3000,),
    "loki": (3100, 9095, 9096),
    "promtail": (9080,),
    "jaeger": (4317, 4318, 5778, 9411, 13133, 14133, 14250, 14268, 14269, 16685, 16686, 16687, 17270, 17271),
    "otel-collector": (4317, 4318, 8888, 8889, 9411, 13133, 14250, 55679),
    "tempo": (3200, 3100, 80, 4317, 4318, 9095, 14268, 9411),
    "cadvisor": (8080,),
    "node-exporter": (9100,),
    "postgres-exporter": (9187,),
    "redis-exporter": (9121,),
    "kibana": (5601,),
    "logstash": (9600, 5044, 5000, 8080),
    "keycloak": (8080, 8443, 9000, 9990, 7800),
    "portainer": (8000, 9000, 9443),
    "registry": (5000, 5001),
    "adminer": (8080,),
    "phpmyadmin": (80, 443),
    "pgadmin": (80, 443),
    "mongo-express": (8081,),
    "mailhog": (1025, 8025),
    "mailpit": (1025, 8025),
    "consul": (8300, 8301, 8302, 8500, 8501, 8502, 8503, 8600),
    "vault": (8200, 8201),
    "etcd": (2379, 2380, 2381),
}
"""Ports that a product listens on unless it is told otherwise, its usual management ports included."""

FAMILIES: dict[str, frozenset[str]] = {
    "redis": frozenset(("redis", "valkey")),
    "grafana": frozenset(("grafana",)),
    "prometheus": frozenset(("prometheus", "victoriametrics", "vmagent", "vmalert")),
    "alertmanager": frozenset(("alertmanager",)),
}
"""First word of facts that speak about some products alone → those products. For a service that runs another one
they say that there is nothing to say, so nobody needs to ask them."""

MONITORS = FAMILIES["prometheus"] | FAMILIES["grafana"]
"""Products whose files bring subjects of their own: scrape jobs, rules, dashboards."""

ONE_SHOT_IMAGES = frozenset(("minio/mc", "flyway/flyway", "liquibase/liquibase", "migrate/migrate", "hello-world"))
"""Images of tools that do one thing and end."""

SHELL_IMAGES = frozenset(("alpine", "bash", "busybox", "debian", "fedora", "ubuntu"))
"""Images of which nothing but a shell starts."""


@lru_cache(maxsize=4096)
def product_of_image(image: Image) -> str | None:
    """The product that an image is known to run, or None."""
    repository = image.repository.lower()
    for known, product in _REPOSITORIES.items():
        if repository == known or repository.endswith("/" + known):
            return product
    return _PRODUCTS.get(image.name.lower())


def is_exporter(product: str | None) -> bool:
    """True for a product that is there to be scraped and does nothing else."""
    return product is not None and (product.endswith("-exporter") or product == "cadvisor")
