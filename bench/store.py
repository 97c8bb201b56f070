"""What the message store costs by itself: processor time per call, memory, time to load.

    python bench/store.py [--messages 1000000] [--body 128] [--folder /some/disk]

Times are of the calling thread alone (user and system), the best of a few runs, so that a busy
machine disturbs them little; only loading is in wall time too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from slipstream.kernel._kernel import IoPool, MessageStore, RealDisk

RUNS = 3


class Bench:
    def __init__(self, root: Path, messages: int, body: int) -> None:
        self.disk = RealDisk(str(root))
        self.pool = IoPool(self.disk, threaded=True)
        self.messages, self.body, self.stores = messages, body, 0

    def new_store(self, memory: bool) -> MessageStore:
        self.stores += 1
        return MessageStore(self.pool, f"streams/{self.stores}", memory=memory)

    def best(self, measure: Callable[[], float]) -> float:
        return min(measure() for _ in range(RUNS))

    def row(self, title: str, value: float, unit: str, target: str = "") -> None:
        print(f"{title:<58} {value:>9.1f} {unit:<10} {target}", flush=True)

    def append(self, memory: bool, unique: bool, ahead: int = 0) -> float:
        store = self.new_store(memory)
        ns = store.bench_append(self.messages, "orders.eu.item.", unique, self.body, ahead)
        store.drop()
        self.pool.finish()
        return ns / self.messages

    def read(self, memory: bool) -> float:
        store = self.new_store(memory)
        store.bench_append(self.messages, "orders.eu.item.", False, self.body)
        best = self.best(lambda: store.bench_read() / self.messages)
        store.drop()
        self.pool.finish()
        return best

    def remove(self, stride: int) -> float:
        """In order (stride 1), or every so many, which leaves the others."""
        store = self.new_store(True)
        store.bench_append(self.messages, "orders.eu.item.", False, self.body)
        return store.bench_remove(1, self.messages, stride) / (self.messages / stride)

    def memory_rows(self) -> None:
        for unique in (False, True):
            store = self.new_store(False)
            store.bench_append(self.messages, "orders.eu.item.", unique, self.body)
            memory = store.memory()
            if unique:
                self.row(
                    "memory per subject (23 bytes)",
                    memory["subjects"] / self.messages,
                    "bytes",
                    "< 100",
                )
            else:
                self.row("memory per message", memory["index"] / self.messages, "bytes", "about 16")
            store.drop()
            self.pool.finish()

    def load_rows(self, unique: bool) -> None:
        kind = "a subject each" if unique else "one subject"
        store = self.new_store(False)
        store.bench_append(self.messages, "orders.eu.item.", unique, self.body)
        snapshot = store.snapshot()
        assert snapshot is not None, store.error
        store.checkpoint_durable()
        folder = f"streams/{self.stores}"

        def load() -> tuple[float, float]:
            loaded = MessageStore(self.pool, folder)
            wall, cpu = time.perf_counter(), time.thread_time()
            if not loaded.load(snapshot):
                raise OSError(loaded.error)
            return time.thread_time() - cpu, time.perf_counter() - wall

        cpu, wall = min(load() for _ in range(RUNS))
        title = f"load {self.messages} messages, {kind}"
        self.row(title + ", processor", cpu * 1000, "ms", "< 500 a million")
        self.row(title + ", wall", wall * 1000, "ms")
        self.row("snapshot of it", len(snapshot), "bytes")
        if unique:
            self.best_match(store)
        store.drop()
        self.pool.finish()

    def best_match(self, store: MessageStore) -> None:
        def match() -> float:
            start = time.thread_time()
            found = store.match_subjects(b"orders.*.item.*9")
            assert not found
            return time.thread_time() - start

        self.row(
            f"match a wildcard against {store.subjects} names",
            self.best(match) * 1000,
            "ms",
            "< 50 a million",
        )

    def run(self) -> None:
        for memory in (True, False):
            where = "memory" if memory else "files"
            hot = self.best(lambda m=memory: self.append(m, False))
            unique = self.best(lambda m=memory: self.append(m, True))
            self.row(f"append, {where}, {self.body} bytes, one subject", hot, "ns", "60")
            self.row(f"append, {where}, {self.body} bytes, a subject each", unique, "ns", "150")
            ahead = self.best(lambda m=memory: self.append(m, True, 8))
            self.row("  announced eight messages before", ahead, "ns", "150")
            self.row(f"read in order, {where}", self.read(memory), "ns")
        self.row("remove, in order", self.best(lambda: self.remove(1)), "ns")
        self.row("remove, every second", self.best(lambda: self.remove(2)), "ns")
        self.memory_rows()
        self.load_rows(False)
        self.load_rows(True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--body", type=int, default=128)
    parser.add_argument("--folder", type=Path, help="where the store lies (a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as root:
        Bench(Path(root), arguments.messages, arguments.body).run()


if __name__ == "__main__":
    main()
