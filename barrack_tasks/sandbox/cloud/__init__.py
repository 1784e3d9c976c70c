"""The cloud behind the sandbox: its machines, disks, money and clock."""
