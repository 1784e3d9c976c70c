"""The usual way to write it in Prefect: one task for each instance, which polls its own."""

from __future__ import annotations

import argparse
import json
import os
import time

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ThreadPoolTaskRunner

from barrack_tasks.api import Barrack


@task(task_run_name="rest {name}", cache_policy=NO_CACHE, persist_result=False)
def rest(client: Barrack, id_: str, name: str) -> None:
    """Snapshot one instance, wait until it is ready, hibernate it, and wait until it is."""
    snapshot = client.snapshots.create(id_, f"{name}-{int(time.time())}")
    while not client.snapshots.get(snapshot.id).status.is_ready:
        time.sleep(0.5)
    client.instances.hibernate(id_)
    while client.instances.get(id_).status != "HIBERNATED":
        time.sleep(0.5)


@flow
def rest_all(client: Barrack) -> int:
    """All that are running."""
    there = [i for i in client.instances.list() if i.status == "ACTIVE"]
    runs = [rest.submit(client, i.id, i.name) for i in there]
    for run in runs:
        run.result()
    return len(runs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-flight", type=int, default=64)
    in_flight = parser.parse_args().in_flight
    cloud = Barrack(
        os.environ["BARRACK_API_KEY"], os.environ["BARRACK_BASE_URL"], max_concurrency=in_flight
    )
    run = rest_all.with_options(task_runner=ThreadPoolTaskRunner(max_workers=in_flight))
    began, used = time.perf_counter(), time.process_time()
    done = run(cloud)
    took = {"s": time.perf_counter() - began, "cpu": time.process_time() - used}
    print(json.dumps(took | {"done": done}))
