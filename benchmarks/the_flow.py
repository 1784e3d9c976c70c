"""The flow, as a process of its own that tells how long its work took."""

from __future__ import annotations

import argparse
import json
import os
import time

from barrack_tasks import BarrackCredentials
from barrack_tasks.flows import snapshot_before_stop

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-flight", type=int, default=64)
    account = BarrackCredentials(
        api_key=os.environ["BARRACK_API_KEY"],
        base_url=os.environ["BARRACK_BASE_URL"],
        max_concurrency=parser.parse_args().in_flight,
    )
    began, used = time.perf_counter(), time.process_time()
    report = snapshot_before_stop(select=["*"], credentials=account)
    took = {"s": time.perf_counter() - began, "cpu": time.process_time() - used}
    print(json.dumps(took | {"done": sum(row.outcome == "done" for row in report.rows)}))
