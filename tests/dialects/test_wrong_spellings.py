"""Wrong spellings of what a dialect can say, several of each entry: all are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from barrack_tasks.api.dialect import DialectError, load_dialect

WRONG = r"""
operations: {create_snapshot: {path: "/instances/{instance}/snapshots"}}
operations: {create_snapshot: {path: "instances/{instance_id}/snapshots"}}
operations: {create_snapshot: {path: "/instances/{instance_id/snapshots"}}
operations: {create_snapshot: {pth: "/instances/{instance_id}/snapshots"}}
operations: {create_snapshots: {path: "/x"}}
operations: {stop_instance: {method: PACH, path: "/instances/{instance_id}", body: {action: stop}}}
operations: {stop_instance: {method: patch, path: "/instances/{instance_id}"}}
operations: {stop_instance: {method: PATCH, path: "/instances", body: {action: stop}}}
operations: {stop_instance: {method: PATCH, body: [action, stop]}}
operations: {stop_instance: {method: PATCH, body: stop}}
schemas: {GPUStocksResponse: {stocks: "stocks[].models"}}
schemas: {GPUStocksResponse: {stocks: "stocks[0].models[]"}}
schemas: {GPUStocksResponse: {stocks: "stocks[*].models[*]"}}
schemas: {GPUStocksResponse: {stocks: "stocks.[].models[]"}}
schemas: {GPUStocksResponse: {stock: "stocks[].models[]"}}
schemas: {GPUStockItem: {region: "^region"}}
schemas: {GPUStockItem: {region: 5}}
schemas: {GPUStockItem: [region]}
schemas: {GPUStockItem: {region: ["a", "b"]}}
joins: {UserVM: {operation: get_instance, match: {region: region}, take: {hourly_price: hourly}}}
joins: {UserVM: {operation: get_pricing, match: {}, take: {hourly_price: hourly}}}
joins: {UserVM: {operation: get_pricing, match: {region: region}, take: {price: hourly}}}
joins: {UserVM: {operation: get_pricing, match: {region: region}, take: {hourly_price: price}}}
joins: {UserVM: {operation: get_pricing, match: {id: tier}, take: {hourly_price: hourly}, times: x}}
joins: {VM: {operation: get_pricing, match: {region: region}, take: {hourly_price: hourly}}}
joins: {UserVM: {match: {region: region}, take: {hourly_price: hourly}}}
values: {DeploymentRequest: {ssh_key_id: {name_of: list_keys}}}
values: {DeploymentRequest: {ssh_key_id: {name_of: get_ssh_key}}}
values: {UserVM: {id: {name_of: list_ssh_keys}}}
values: {DeploymentRequest: {ssh_key: {name_of: list_ssh_keys}}}
values: {DeploymentRequest: {ssh_key_id: list_ssh_keys}}
values: {Balance: {amount: {times: cents}}}
values: {Balance: {amount: {times: "-0.01"}}}
values: {Balance: {amount: {times: "1e99"}}}
values: {Balance: {amount: {times: "0,01"}}}
values: {Balance: {amount: 0.01}}
values: {Balance: {currency: {times: "0.01"}}}
values: {UserVM: {name: {times: "0.01"}}}
values: {UserVM: {created_at: {times: "0.01"}}}
values: {UserVM: {created_at: {epoch: minutes}}}
values: {UserVM: {created_at: {epoch: ms}}}
values: {UserVM: {created: {epoch: seconds}}}
values: {UserVM: {created_at: epoch}}
values: {UserVM: {name: {epoch: seconds}}}
values: {Balance: {amount: {epoch: seconds}}}
values: {UserVM: {created_at: {zone: Berlin}}}
values: {UserVM: {created_at: {zone: "UTC+2"}}}
values: {UserVM: {created_at: {zone: ""}}}
values: {UserVM: {name: {zone: Europe/Berlin}}}
values: {UserVM: {created_at: {zone: Europe/Berlin, epoch: seconds}}}
values: {UserVM: {created_at: {tz: Europe/Berlin}}}
values: {Snapshot: {is_image: {yes: ["Y"]}}}
values: {Snapshot: {is_image: {no: ["N"]}}}
values: {Snapshot: {is_image: {yes: Y, no: N}}}
values: {Snapshot: {is_image: {yes: [Y, x], no: [x]}}}
values: {Snapshot: {is_image: {true: [Y], false: [N]}}}
values: {Snapshot: {name: {yes: ["Y"], no: ["N"]}}}
values: {VMInstance: {status: {cases: []}}}
values: {VMInstance: {status: {cases: [{when: {}, word: SHUTOFF}]}}}
values: {VMInstance: {status: {cases: [{when: {a: b}, word: SHUT}]}}}
values: {VMInstance: {status: {cases: [{if: {a: b}, word: SHUTOFF}]}}}
values: {VMInstance: {status: {cases: {when: {a: b}, word: SHUTOFF}}}}
values: {UserVM: {gpu_count: {digits: 1x}}}
values: {UserVM: {name: {digits: true}}}
words: {VMStatus: {running: ACTIV}}
words: {VMState: {running: ACTIVE}}
words: {VMStatus: [running]}
words: {VMStatus: {running: [ACTIVE]}}
words: {VMStatus: {ACTIVE: running}}
paging: {style: links}
paging: {style: Link}
paging: {style: next, size: limit}
paging: link
paging: {style: page, first_page: one}
paging: {style: page, page: ""}
failure: {at: ok}
failure: {at: ok, good: true}
failure: {at: ok, good: []}
failure: {good: ["true"]}
failure: {at: ok, good: ["true"], code: x}
failure: ok
failure: {at: "a..b", good: ["true"]}
work: {id: operation.id, path: "/operations/{operation}", state: s, done: [a], failed: [b]}
work: {id: operation.id, path: "operations/{id}", state: s, done: [a], failed: [b]}
work: {id: operation.id, path: "/operations/{id}", done: [a], failed: [b]}
work: {id: operation.id, path: "/operations/{id}", state: s, done: a, failed: [b]}
work: {id: operation.id, path: "/operations/{id}", state: s, done: [a], failed: [a]}
auth: {header: "X Token"}
auth: {header: ""}
auth: {headr: x}
auth: Bearer
auth: {header: Authorization, schema: Bearer}
auth: {header: "a:b"}
auth: {query: "a b&c"}
codec: my_module
codec: my_module.MyCodec
codec: "my-module:MyCodec"
codec: "my_module:"
codec: [a]
operations: {list_os_images: {parameters: [kind]}}
operations: {list_os_images: {parameters: {kind: [a]}}}
operations: {list_snapshots: {path: "/i/{instance_id}/s", parents: {instance_id: list_machines}}}
operations: {list_snapshots: {path: "/i/{instance_id}/s"}}
operations: {list_snapshots: {path: "/i/{vm}/s", parents: {instance_id: list_instances}}}
envelope: [a]
envelope: a..b
error_envelope: a[]
base_url: api.example.com
base_url: ftp://x.example
values: {UserVM: {status: {constant: ON}}}
values: {UserVM: {hourly_price: {constant: cheap}}}
operations: {create_instance: {lookup: {"a..b": {path: /f, items: f, match: {name: f}, take: f}}}}
operations: {create_instance: {lookup: {f: {path: /f, items: "a..b", match: {name: f}, take: f}}}}
operations: {create_instance: {lookup: {f: {path: /f, items: f, match: {name: "a..b"}, take: f}}}}
operations: {create_instance: {lookup: {f: {path: /f, items: f, match: {name: f}}}}}
operations: {stop_instance: {lookup: {f: {path: /f, items: f, match: {name: f}, take: f}}}}
""".strip().splitlines()


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_spelling_is_refused_with_its_line_and_place(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"name: mine\n{text}\n")
    with pytest.raises(DialectError) as refusal:
        load_dialect(file)
    said = str(refusal.value)
    section = next(iter(yaml.safe_load(text)))
    assert said.startswith(f"mine.yaml, line 2: {section}"), said
    assert "Input should" not in said or "'" in said, "it says which words there are"
    assert not any(word in said for word in ("pydantic", "Extra inputs", "tuple", "Dictionary"))
