"""The rows of the group coordinator."""
# SPDX-License-Identifier: Apache-2.0
BEATS = (("cpu_ms_s", "CPU ms/s", 2), ("p50_us", "p50 us", 0), ("p99_us", "p99 us", 0))
JOINS = (("first_ms", "first ms", 1), ("again_ms", "again ms", 1))
COMMITS = (("records_s", "offsets/s", 0), ("cpu_us_request", "CPU us/request", 1),
           ("p50_us", "p50 us", 0), ("p99_us", "p99 us", 0))


class Groups:
    """One load on leatd alone; other sides have no coordinator."""

    def __init__(self, metrics, **shape):
        self.metrics = metrics
        self.shape = shape

    def measure(self, bench):
        if not bench.has_leatd:
            return {}
        bench.fresh_data()
        server, _ = bench.leatd()
        seconds = bench.arguments.seconds
        out = bench.generate(server, **self.shape, seconds=seconds)[0]
        server.stop()
        return {"leatd": out}


ROWS = {
    "group-beats": ("1,000 groups of 3 members that only beat, every 3 s each",
                    Groups(BEATS, mode="beat", groups=1000, members=3)),
    "group-join": ("100 members: the first generation, with the delay of 3 s that grows while new "
                   "ones come; then all join again",
                   Groups(JOINS, mode="join", members=100)),
    "group-commits": ("256 groups that commit one offset, the next when the last is durable",
                      Groups(COMMITS, mode="commit", groups=256)),
    "group-commits-10": ("64 groups that commit ten offsets, likewise",
                         Groups(COMMITS, mode="commit", groups=64, partitions=10)),
}
