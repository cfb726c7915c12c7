"""The rows of the group coordinator."""
# SPDX-License-Identifier: Apache-2.0
BEATS = (("cpu_ms_s", "CPU ms/s", 2), ("p50_us", "p50 us", 0), ("p99_us", "p99 us", 0))
JOINS = (("first_ms", "first ms", 1), ("again_ms", "again ms", 1))
COMMITS = (("records_s", "offsets/s", 0), ("cpu_us_request", "CPU us/request", 1),
           ("p50_us", "p50 us", 0), ("p99_us", "p99 us", 0))


class Groups:
    """One load on leatd, and where there is one on the floor."""

    def __init__(self, metrics, floor=None, **shape):
        self.metrics = metrics
        self.floor = floor
        self.shape = shape

    def measure(self, bench):
        out = {}
        load = {**self.shape, "seconds": bench.arguments.seconds}
        if self.floor:
            server = bench.floor("--mode", self.floor)
            out["floor"] = bench.generate(server, peer="floor", **load)[0]
            server.stop()
            (bench.folder / "floor.data").unlink()
        if bench.has_leatd:
            bench.fresh_data()
            server, _ = bench.leatd()
            out["leatd"] = bench.generate(server, **load)[0]
            server.stop()
        return out


ROWS = {
    "group-beats": ("1,000 groups of 3 members that only beat, every 3 s each",
                    Groups(BEATS, floor="answer", mode="beat", groups=1000, members=3)),
    "group-join": ("100 members: the first generation, with the delay of 3 s that grows while new "
                   "ones come; then all join again",
                   Groups(JOINS, mode="join", members=100)),
    "group-commits": ("256 groups that commit one offset, the next when the last is durable",
                      Groups(COMMITS, floor="ring", mode="commit", groups=256)),
    "group-commits-10": ("64 groups that commit ten offsets, likewise",
                         Groups(COMMITS, floor="ring", mode="commit", groups=64, partitions=10)),
}
