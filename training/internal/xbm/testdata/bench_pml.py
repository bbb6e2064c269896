"""Times the step that BenchmarkMemoryStep times, in pytorch-metric-learning: a layer 1280 -> 128 and L2 norm, a full
CrossBatchMemory, contrastive loss, Adam, batch 64, 2 threads. Needs torch and pytorch-metric-learning:

    python training/internal/xbm/testdata/bench_pml.py [--steps 30] [sizes of memory, default 1024 8192 55000]

Prints the median and the fastest step, and the processor time of all threads, in milliseconds. (Set
OMP_WAIT_POLICY=passive where other programs share the cores: waiting threads count as work otherwise.)
"""

import argparse
import statistics
import time

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import ContrastiveLoss, CrossBatchMemory

BATCH, DIM, FEATURES, CLASSES = 64, 128, 1280, 500


def measure(size, steps):
    torch.manual_seed(1)
    head = torch.nn.Linear(FEATURES, DIM, bias=False)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    contrastive = ContrastiveLoss(pos_margin=1, neg_margin=0.1, distance=CosineSimilarity())
    memory = CrossBatchMemory(contrastive, DIM, memory_size=size)
    memory.embedding_memory = torch.randn(size, DIM) / DIM**0.5
    memory.label_memory = torch.randint(0, CLASSES, (size,))
    memory.has_been_filled = True
    x, y = torch.randn(BATCH, FEATURES), torch.arange(BATCH) // 4

    def step():
        optimizer.zero_grad()
        memory(torch.nn.functional.normalize(head(x)), y).backward()
        optimizer.step()

    for _ in range(3):
        step()
    wall, cpu = [], time.process_time()
    for _ in range(steps):
        start = time.perf_counter()
        step()
        wall.append((time.perf_counter() - start) * 1e3)
    cpu = (time.process_time() - cpu) * 1e3 / steps
    print(f"memory {size}: median {statistics.median(wall):.1f} ms, fastest {min(wall):.1f} ms, processor {cpu:.1f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("sizes", nargs="*", type=int, default=[1024, 8192, 55000])
    parser.add_argument("--steps", type=int, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    for memory_size in arguments.sizes:
        measure(memory_size, arguments.steps)
