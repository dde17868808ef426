"""Effective values, asked inside what runs: read-only, each with its own deadline, each switchable.

| probe | asks | how |
| --- | --- | --- |
| cgroup | limits and OOM kills as the kernel has them, the log file's size | files of this machine |
| interface | the MTU of each interface | /proc/PID/root/sys of this machine |
| redis | CONFIG GET of what policies speak about | the Redis protocol, to the container's address |
| postgres | pg_settings | ``psql`` inside the container (the only exec) |
| rabbitmq | the memory watermark in bytes | the Prometheus endpoint on port 15692 |
| prometheus | targets, rules and alerts | its own API |
| grafana | health, dashboards, data sources and whether they work | its own API |
"""
