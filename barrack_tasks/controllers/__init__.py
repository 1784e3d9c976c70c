"""What one flow needs beside its plan, under the name that it has in `plans`."""
