"""What any program must ask an engine before it can judge what runs, and nothing else: the floor of ``live``.

The Docker SDK, in as many threads as ``live`` has: lists of containers, networks, volumes and images, the engine's
information, and the inspection of every container. Prints how many containers there were.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from docker import APIClient
from docker.utils import kwargs_from_env

WORKERS = 8


def main() -> None:
    client = APIClient(version="auto", **kwargs_from_env())
    with ThreadPoolExecutor(WORKERS) as pool:
        lists = [
            pool.submit(ask) for ask in (client.networks, client.volumes, client.images, client.info, client.version)
        ]
        containers = client.containers(all=True)
        inspected = list(pool.map(lambda one: client.inspect_container(one["Id"]), containers))
        for one in lists:
            one.result()
    print(len(inspected))


if __name__ == "__main__":
    main()
