"""Tasks of the groups Balance, GPU Stocks, GPU Specs, Regions and Pricing."""

from barrack_tasks.api.resources import Balance, GpuSpecs, GpuStocks, Pricing, Regions
from barrack_tasks.tasks.base import task_of

get_credit_balance = task_of(Balance.get)
get_gpu_stock = task_of(GpuStocks.list)
get_gpu_specs = task_of(GpuSpecs.list)
list_regions = task_of(Regions.list)
get_pricing = task_of(Pricing.list)
quote_price = task_of(Pricing.quote, "price of {gpu_count}x {gpu_model}")
