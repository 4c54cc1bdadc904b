"""Measures ebtop beside libbpf-tools, bpftrace and bcc, on the same loads, in the same run: `make bench`."""
