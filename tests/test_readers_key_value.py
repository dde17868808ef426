"""postgresql.conf and rabbitmq.conf: names, values and places as the servers read them."""

from __future__ import annotations

from infra_audit.readers.key_value import read_entries
from infra_audit.source import Source

TEXT = """\
# comment
shared_buffers = 1GB        # behind a value
work_mem 8MB
log_line_prefix = '%m # no comment '
include 'more.conf'
quoted = 'it''s'
vm_memory_high_watermark.absolute = 1200MiB
  Listen_Addresses='*'

alone
"""


def test_names_and_values_are_read_in_order() -> None:
    assert [(entry.name, entry.value) for entry in read_entries(Source("a.conf", TEXT))] == [
        ("shared_buffers", "1GB"),
        ("work_mem", "8MB"),
        ("log_line_prefix", "%m # no comment "),
        ("include", "more.conf"),
        ("quoted", "it's"),
        ("vm_memory_high_watermark.absolute", "1200MiB"),
        ("listen_addresses", "*"),
    ]


def test_each_value_stands_where_it_is_written() -> None:
    entries = {entry.name: entry.span for entry in read_entries(Source("a.conf", TEXT))}
    assert str(entries["shared_buffers"]) == "a.conf:2:18"
    assert entries["shared_buffers"].text == "1GB"
    assert entries["listen_addresses"].text == "'*'"
