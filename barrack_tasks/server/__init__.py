"""What all workers share on the Prefect server: variables, tables and names of accounts."""
