"""One flow a file, each the same sentence: observe, decide, act, report."""
